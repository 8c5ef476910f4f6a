"""CRM to eCW.  `bundle` wraps a patient for sending."""

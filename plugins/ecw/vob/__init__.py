"""Verification of benefits: a request in the CRM for every patient whose insurance or demographics a pull has changed.

steps             the steps of the DAG crm_vob: open requests, deliver them
requests          opens requests in `vob_request` for the changes in the journal
relevant_fields   the columns that a payer asks for
table             the CRM's table `vob_request`
settings          the connection's extra field `vob`
webhook           posts a request to the service that verifies benefits
"""

"""Verification of benefits: a request in the CRM for every patient whose insurance or demographics a pull has changed.

    steps      what the DAG crm_vob runs: open requests, deliver them
    matters    which columns a payer asks for
    settings   what the connection says: the first load, how many at once
    webhook    posting a request to whoever verifies

The tables are ecw.vob.requests's: the journal says what has changed, `vob_request` what is to be verified.
"""

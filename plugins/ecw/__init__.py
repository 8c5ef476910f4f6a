"""Keeps a CRM and eClinicalWorks (eCW) in step.  The package, in reading order:

words, errors      the few shapes passed between steps; the error tree
resources          what is synchronised: one row each
api                talking to eCW: auth, client (it knows no CRM)
mapping            mapping files, paths, cleaning: FHIR resource -> row
crm                the CRM's database: tables, links, upsert, cursor, ledger (it knows no FHIR)
pull               the steps: begin, extract -> map -> check -> load, record
alert              notices when something begins to be amiss, and when it is over
directions         which way a resource travels, and why some cannot be pushed
agreement          the three-way merge that pull and push share
push               CRM -> eCW: one patient at a time, never twice
hook, provider     Airflow's door: connection -> client; the connection type and its form
ui                 the pages in Airflow's frame (they read crm only)
cli                the `ecw` command

Arrows point one way: dags -> pull -> api, mapping, crm -> words, errors.
"""

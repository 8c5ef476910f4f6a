"""Keeps a CRM and eClinicalWorks (eCW) in step.  Folders are steps of the flow; each line imports only from lower ones:

dags                                  the DAG files
operators, vob, reports, cli, ui      for Airflow, terminals and pages
pull, push                            eCW -> CRM: plan, extract, map, check, load; CRM -> eCW: plan, rules, patient
practice, hooks, alerts               one practice's client and mappings; the connection; notifications
crm/{db,state,load}                   the CRM's database: tables, bookkeeping, the load (it knows no FHIR)
fhir, mapping, staging, quality       eCW's API; resource <-> row; batches between steps; Great Expectations
identity                              do two records describe the same person? names, persons, comparison
three_way_merge, settings, models     the merge of pull and push; options; the types that steps pass to each other
errors, resources                     the error classes; the synchronised resources and their directions

For DAG authors: ecw.operators, ecw.hooks.ecw.EcwHook, ecw.{pull,push,vob}.steps, ecw.alerts.monitor and
ecw.retry_policy.RETRY_POLICY.  Everything else may change.
"""

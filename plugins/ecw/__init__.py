"""Keeps a CRM and eClinicalWorks (eCW) in step.  A folder is a step of the flow; imports point one way, downwards:

dags                                  tables of contents
operators, vob, reports, cli, ui      what Airflow, terminals and pages need
pull, push                            eCW -> CRM: plan, extract, map, check, load; CRM -> eCW: plan, rules, patient
practice, hooks, alerts               one practice's client and mappings; the connection; notifications
crm/{db,state,load}                   the CRM's database: tables, bookkeeping, the load (it knows no FHIR)
fhir, mapping, staging, quality       eCW's API; resource <-> row; batches between steps; Great Expectations
identity                              who is who: names, persons, how two records compare
three_way_merge, settings, models     the merge that pull and push share; options; the shapes passed between steps
errors, resources                     the error tree; what is synchronised, and which way

For DAG authors: ecw.operators, ecw.hooks.ecw.EcwHook, ecw.{pull,push,vob}.steps, ecw.alerts.monitor and
ecw.retry_policy.RETRY_POLICY.  Everything else may change.
"""

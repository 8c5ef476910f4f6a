"""Keeps a CRM and eClinicalWorks (eCW) in step.  Folders are steps of the flow; each imports only from those after it:

ecw_plugin, provider_info           what Airflow reads at its start: the pages, the type of connection
operators, cli, ui                  for DAG files; the command `ecw`; the pages in Airflow
vob, reports                        verification of benefits; queries for pages and commands
push                                CRM -> eCW: plan, rules, patient
pull                                eCW -> CRM: plan, extract, map, check, load
practice, hooks                     one practice's client and mappings; the connection
quality, alerts                     Great Expectations; notifications
fhir, staging                       eCW's API; batches between steps
crm.load, crm.state                 the load into the CRM (it knows no FHIR); the bookkeeping of runs and records
crm.journal, crm.db                 what happened to which record; the CRM's tables
three_way_merge                     the merge of pull and push
mapping, settings                   resource <-> row; options
retry_policy, project_files         which errors Airflow retries; the files that users edit
printable, spelling, identity       control characters; is it the same value, the same person?
models, resources                   what steps pass to each other; the synchronised resources
did_you_mean, errors                the nearest known word; the error classes

Public, because DAG files import them: ecw.operators.{approval, assets, defaults, form, pull, pull_params, push,
push_params, replay_params}, ecw.{pull, pull.replay, push, vob}.steps, ecw.reports.metrics, ecw.resources and
ecw.settings.{practice, practices, schedule}; for DAG files of your own also ecw.hooks.ecw, ecw.alerts.monitor and
ecw.retry_policy.  Everything else may change.
"""

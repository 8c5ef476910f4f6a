"""The push, CRM to eCW. The modules in reading order:

steps         begin -> approve -> send -> confirm -> summary: called by the DAG, the command and the tests
plan/         choose the patients of a run: those that differ (outbox), those of the form (select, begin); watcher
send          pushes the patients of a run concurrently; confirm reads back what was written; summary ends the run
progress      the result of each patient; messages: the same as sentences
patient/      the push of one patient
rules/        pure functions: find the patient in eCW (match), validate and build a request, read an answer (outcome)

step_context  what a step opens once; context: the CRM's side of a practice, and the state that a run's pushes share
intents       what was decided, written before the request; locks: one worker for each patient
crm_patients  writes patients in the CRM; crm_records reads them; review, decide_identity: the decisions of a person
kill_switch   stops a push before its next request

The merge itself is ecw.three_way_merge.
"""

"""CRM to eCW, in reading order:

steps        begin -> approve -> send -> confirm -> summary: what the DAG, the command and the tests call
plan/        whom a run takes: what differs (outbox), what is asked for (select, begin); watcher starts runs
send         the patients of a run, side by side; confirm reads back what was written; summary ends the run
progress     what happened to each patient, and messages: the same in words
patient/     one patient: push decides its way, and each collaborator does one thing
rules/       pure: is it in eCW already (match), what eCW takes (validate, bundle), what its answer means (outcome)

step_context what a step opens once; context: the CRM's side of a practice, and what the pushes of a run share
intents      what was decided, written before the request; locks: one worker a patient
crm_patients the CRM's side: crm_records reads a patient; review, decide_identity: what a person decides
kill_switch  stops a push before its next request

The merge itself is ecw.three_way_merge.
"""

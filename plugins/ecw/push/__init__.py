"""CRM to eCW, in reading order:

steps        begin -> approve -> send -> confirm -> summary: what the DAG, the command and the tests call
begin        what is wanted (wanted, form) and whom the run takes (choose); approve asks where these are many
batch        the patients of a run, side by side; ledger: what happened to each; told, summary: the same in words
stop         the kill switch
trigger      the watcher in Airflow's triggerer; watch: one look into the CRM

outbox       which patients differ from what was last agreed
send         one patient: validate, match or merge, write the intent down, send, record
update       of one that is linked: read both sides, merge, send
validate     what eCW will not take, by field
match        is the patient in eCW already?
bundle       the transaction in which eCW takes a patient
outcome      what eCW's answer means
intents      what was decided, written before the request; `alone`: one worker a patient
settle       what happened to an earlier attempt whose outcome is not known
record       what comes of it, in one transaction each; rejects, patients: the CRM's side
confirm      read back what was pushed: its echo is not a change

pushing has what the pushes of a run share.  The merge itself is ecw.three_way_merge.
"""

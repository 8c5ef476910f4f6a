"""CRM to eCW, in reading order:

outbox       which patients differ from what was last agreed
send         one patient: validate, match or merge, write the intent down, send, record
validate     what eCW will not take, by field
match        is the patient in eCW already?
bundle       the transaction in which eCW takes a patient
outcome      what eCW's answer means
intents      what was decided, written before the request; `alone`: one worker a patient
record       what comes of it, in one transaction each; rejects, patients: the CRM's side
confirm      read back what was pushed: its echo is no change

pushing has what the pushes of a run share.  The merge itself is ecw.agreement.
"""

"""The push of one patient: push.PatientPush chooses the operation, and the other modules carry it out.

state            the patient's row, latest intent and claims
resolve_unknown  finds the outcome of an earlier attempt, before anything else
typed_id         checks an eCW id that a person wrote into the row
create, update   the two operations
search           finds the patient in eCW
sender           writes the intent, sends the request, reads the outcome
recorder         stores each result in one transaction; rejects: patients that cannot be sent as they are
readback         reads the patient back afterwards, to learn eCW's spelling
"""

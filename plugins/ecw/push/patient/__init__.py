"""The push of one patient: push.PatientPush decides the way, its collaborators go it.

state            what the push knows: row, latest intent, claims
resolve_unknown  what happened to an earlier attempt: before anything else
typed_id         an eCW id that somebody wrote into the row
create, update   the two ways to send
search           does eCW have the patient?
sender           intent, request, outcome
recorder         what comes of it, in one transaction each; rejects: what cannot be sent as it is
readback         afterwards: what eCW made of it
"""

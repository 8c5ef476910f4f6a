"""Notices: one when something begins to be wrong and one when it is over, to whom the user names.

settings   the variable ecw_alerts: thresholds and targets
watch      look, write down, send: after every run, and by the DAG ecw_monitor when there is none
send       one notice to one target, through Airflow's notifiers

What is wrong is computed from the CRM's tables (ecw.alerts.conditions) and kept there (ecw.alerts.store).
"""

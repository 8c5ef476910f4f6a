"""Notices: one when something begins to be amiss and one when it is over, to whom the user names.

settings   the variable ecw_alerts: thresholds and targets
watch      look, write down, send: after every run, and by the DAG ecw_watch when there is none
send       one notice to one target, through Airflow's notifiers

What is amiss is computed from the CRM's tables (ecw.crm.facts) and kept there (ecw.crm.alerts).
"""

"""Alerts: one notification when a condition begins and one when it ends, to the configured targets.

settings     the variable ecw_alerts: thresholds and targets
conditions   finds what is wrong, from the CRM's tables
store        keeps alerts and their notifications in the CRM
monitor      finds, stores, sends: after every run, and half-hourly in the DAG ecw_monitor
notify       sends one notification to one target, through Airflow's notifiers
"""

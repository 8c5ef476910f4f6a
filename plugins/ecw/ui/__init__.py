"""The pages in Airflow: server-rendered HTML over `crm`, and nothing else.

A page is a module here with a `router`, a template beside it, its line in `app.ROUTERS`, and its place in Airflow's
frame in `ecw.ecw_plugin`.
"""

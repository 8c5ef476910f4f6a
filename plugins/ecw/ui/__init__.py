"""The console inside Airflow: "EMR sync" in its navigation, a card on its Home, the tab Quality of a run.

`api/` is the JSON that it reads, `static/` its ES modules over what Airflow shares (React, Chakra UI, the router), with
no build step; `access` has the rights. A page is a module in `ecw.reports`, one in `api`, one in `static/pages`, and a
test of each; its places are `app.API_ROUTERS` and `PAGES` in `static/console.js`.
"""

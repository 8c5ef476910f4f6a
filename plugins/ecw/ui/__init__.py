"""The console inside Airflow: "EMR sync" in its navigation, a card on its Home, the tab Quality of a run.

`api/` serves its JSON. `static/` has its ES modules: they use the libraries that Airflow shares (React, Chakra UI, the
router) and have no build step. `access` checks the rights. A page is a module in `ecw.reports`, one in `api`, one in
`static/pages`, and a test of each; it is registered in `app.API_ROUTERS` and in `PAGES` of `static/console.js`.
"""

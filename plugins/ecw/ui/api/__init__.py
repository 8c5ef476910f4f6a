"""The console's JSON: one module for each page, on top of `ecw.reports`; ids, names and counts, few routes show values.

A module has a `router` with `READ` among its dependencies, and a line in `ecw.ui.app.API_ROUTERS`. Routes that read are
GET. A route that shows values also has `VALUES`; it is POST (with `from_this_page`) if its input is more than ids. A
route that acts is POST and has `act(<DAG>)`. Models are frozen dataclasses or pydantic models with named fields. All
input is bounded: lengths, choices, numbers of rows.
"""

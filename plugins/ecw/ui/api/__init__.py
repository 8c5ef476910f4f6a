"""The console's JSON: one module a page, over `ecw.reports`; ids, names and counts, values only where a route says so.

A module has a `router` with `READ` among its dependencies and its line in `ecw.ui.app.API_ROUTERS`. Reading routes are
GET; a route that shows values also has `VALUES`, and is POST (with `from_this_page`) where it takes what is no id;
one that acts is POST and has `act(<DAG>)`. Models are frozen
dataclasses or pydantic models with named fields; what a caller sends is bounded: lengths, choices, numbers of rows.
"""

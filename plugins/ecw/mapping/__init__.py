"""Mapping files: a FHIR resource becomes a row of the CRM, and a row a resource.  In reading order:

vocabulary         the words of a mapping file
yaml_lines         YAML that remembers file, line and column
paths, parse       the FHIRPath subset: its steps; text -> steps
crosswalks         tables of code <-> CRM value
model, files       a mapping file -> Mapping, or every problem of the file at once
read, write        the two halves of a path: Python source that reads; putting a value where the path reads it
clean, convert     small functions on one value: cleaning, types
compile, compose   Mapper: resource -> row; Composer: row -> resource
validate           is a resource FHIR at all?
check              what can be known to be wrong before a run: structure (paths against FHIR), table_check (the
                   CRM's tables), lists (crosswalks against what both sides have now)
preview, diff,     what `ecw mapping` shows: one record, what a changed file would change (loaded: the CRM's rows),
unmapped,          codes without a crosswalk line, the pull side as a ViewDefinition
viewdefinition
"""

"""Mapping files: a FHIR resource becomes a row of the CRM, and a row a resource.  In reading order:

vocabulary     the words of a mapping file
yaml_lines     YAML that remembers file, line and column
crosswalks     tables of code <-> CRM value
paths, parse   the FHIRPath subset: its steps; text -> steps
model, files   a mapping file -> Mapping, or every problem of the file at once
read           steps -> Python source that reads
clean, convert small functions on one value: cleaning, types
compile        Mapper: resource -> row
"""

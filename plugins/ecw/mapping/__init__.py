"""Mapping files: a FHIR resource becomes a row of the CRM, and a row a resource.  In reading order:

vocabulary     the words of a mapping file
yaml_lines     YAML that remembers file, line and column
crosswalks     tables of code <-> CRM value
files          a mapping file -> Mapping, every problem of the file at once
paths          the FHIRPath subset: text -> steps
read           steps -> Python source that reads
clean, convert small functions on one value: cleaning, types
compile        Mapper: resource -> row
"""

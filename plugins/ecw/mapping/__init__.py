"""Mapping files: they define how a FHIR resource becomes a row of the CRM, and a row a resource.

vocabulary    the values allowed in a mapping file
definition/   a mapping file and its crosswalks -> Mapping, or every problem with file, line and column
fhirpath/     the FHIRPath subset: parse a path, read its value, write it, clear it
values/       functions on one value: cleaning, types, names, references
transform/    Mapper: resource -> row; Composer: row -> resource
validation/   is a resource valid FHIR? are the mapping files and crosswalks correct?
tools/        the output of `ecw mapping`: preview, diff, unmapped, propose, export
"""

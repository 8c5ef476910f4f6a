"""Compare records of persons: names, persons, and whether two records are one person.  No database, no network.

text         which texts are equal apart from spelling
names        the parts of a name, and how two names relate
person       the identifying data of a FHIR Patient
compare      whether two records are the same person: certainly, maybe, or not
guard        whether a record still describes the person that a link was made for
"""

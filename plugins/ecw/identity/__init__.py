"""Who is who: names, persons and how two records of a person compare.  Pure functions, no database and no network.

text         which texts say the same
names        the parts of a name, and how two names relate
person       what a FHIR Patient says of a person
compare      whether two records are the same person: for certain, maybe, or not
guard        whether a record still describes the person that a link was made for
"""

"""The lists of names, places and codes for the population."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FAMILIES = _words("""
    Abbott Acosta Adeyemi Aguilar Albrecht Alvarez Andersson Archer Ashby Bailey Barrera Bauer Becker Bennett
    Bhatt Bianchi Blackwood Bouchard Brennan Brooks Calloway Cardenas Castillo Chandler Chen Clarke Colombo
    Cortez Crawford Dalton Davenport Delgado Diaz Dimitrov Donovan Drummond Dubois Eastman Ekström Ellis
    Espinoza Evans Farouk Ferreira Fischer Fitzgerald Fletcher Fontaine Fox Gallagher Garza Gibson Gómez Grant
    Greene Gupta Hahn Hansen Harper Hassan Hendricks Herrera Hoffman Holloway Horvat Hughes Ibarra Ingram Ito
    Iverson Jackson Jansen Jimenez Johansson Juarez Kane Kapoor Kaufman Keller Kim Kowalski Kumar Lambert Larsen
    Laurent Lee Lindgren Lombardi Lozano MacDonald Maddox Mancini Marsh Martinez Meyer Mitchell Molina Moreau
    Morrison Müller Nakamura Navarro Nguyen Nielsen Novak O'Brien O'Neill Okafor Oliveira Olsen Ortega Osborne
    Owens Pacheco Park Patel Pereira Petrov Pham Porter Quigley Quinn Quintero Ramirez Reeves Reyes Riley Rivera
    Rosenberg Rossi Russo Salazar Sandoval Schmidt Serrano Shah Silva Sinclair Sørensen Stein Sutton Takahashi
    Tanaka Thornton Torres Tran Underhill Urbina Ustinov Valdez Vance Vargas Vasquez Vega Villanueva Wagner
    Walsh Watanabe Weaver Whitfield Wong Xavier Xiong Yamamoto Yates Ybarra Young Zamora Zeller Zhang Zimmerman
""")
GIVEN = {
    "female": _words("""
        Abigail Adriana Aisha Alice Amara Beatriz Bianca Brigitte Camila Carmen Charlotte Dahlia Daniela Diana
        Eleanor Elena Esther Fatima Fiona Frances Gabriela Grace Greta Hana Hazel Helen Imani Ingrid Isabel
        Jasmine Joanna June Karen Katarina Keiko Laila Laura Lucia Maria Marisol Mei Nadia Naomi Nora Odessa
        Olga Opal Paloma Paula Priya Queenie Quiana Rachel Renata Rosa Sabine Sofia Susan Tamara Teresa Thandi
        Uma Ursula Valentina Vera Violet Wanda Willa Winnie Xenia Ximena Yara Yolanda Yuki Zara Zelda Zoe Zoë
    """),
    "male": _words("""
        Aaron Adam Alejandro Amir Anton Benjamin Boris Bruno Caleb Carlos Cedric Daniel David Diego Eduardo
        Elias Ethan Felix Fernando Frank Gabriel George Gustavo Hamid Harold Hugo Ian Igor Isaac Jamal James
        Javier Joaquin Kai Karim Kenji Leo Liam Luis Malik Marco Miguel Nathan Nikolai Noah Omar Oscar Otis
        Pablo Patrick Peter Quentin Quincy Rafael Ravi Robert Samuel Sergio Stefan Tariq Thomas Tomas Ulises
        Umar Uriel Victor Viktor Vincent Walter Wei William Xander Xavi Yusuf Yannick Yosef Zachary Zane Zubin
    """),
}
STREETS = (
    "Alder St",
    "Birch Ave",
    "Cedar Ln",
    "Dogwood Dr",
    "Elm St",
    "Foundry Rd",
    "Grand Blvd",
    "Harbor Way",
    "Iron Ct",
)
TOWNS = (
    ("Albany", "NY", "12207", "518"),
    ("Boston", "MA", "02118", "617"),
    ("Hartford", "CT", "06103", "860"),
    ("Newark", "NJ", "07102", "973"),
    ("Portland", "ME", "04101", "207"),
    ("Providence", "RI", "02903", "401"),
    ("Richmond", "VA", "23219", "804"),
    ("Syracuse", "NY", "13202", "315"),
    ("Trenton", "NJ", "08608", "609"),
    ("Worcester", "MA", "01608", "508"),
)
LANGUAGES = (
    ("en", "English"),
    ("en", "English"),
    ("en", "English"),
    ("es", "Spanish"),
    ("zh", "Chinese"),
    ("pt", "Portuguese"),
)
MARITAL = (
    ("S", "Never Married"),
    ("M", "Married"),
    ("D", "Divorced"),
    ("W", "Widowed"),
    ("L", "Legally Separated"),
    ("UNK", "unknown"),
)
RACES = (
    ("2106-3", "White"),
    ("2054-5", "Black or African American"),
    ("2028-9", "Asian"),
    ("1002-5", "American Indian or Alaska Native"),
    ("2076-8", "Native Hawaiian or Other Pacific Islander"),
)
ETHNICITIES = (("2186-5", "Not Hispanic or Latino"), ("2135-2", "Hispanic or Latino"))
PAYERS = (
    "Aetna",
    "Anthem Blue Cross",
    "Cigna",
    "Harbor Health Plan",
    "Magellan",
    "Medicaid",
    "Medicare",
    "Optum",
    "Tricare",
    "UnitedHealthcare",
)
PLANS = (
    ("PPO", "preferred provider organization policy"),
    ("HMO", "health maintenance organization policy"),
    ("POS", "point of service policy"),
)
RELATIONSHIPS = (
    ("self", "Self"),
    ("self", "Self"),
    ("self", "Self"),
    ("spouse", "Spouse"),
    ("child", "Child"),
    ("parent", "Parent"),
)
PROGRAMS = (
    "Detox",
    "Residential Treatment",
    "Partial Hospitalization",
    "Intensive Outpatient",
    "Outpatient",
    "Sober Living",
)
REASONS = (
    "Individual therapy",
    "Group therapy",
    "Intake assessment",
    "Medication management",
    "Case management",
    "Family session",
    "Telehealth follow-up",
)

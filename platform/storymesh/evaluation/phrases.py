"""The English phrases by which free answers are read: patterns of RE2 over texts in small letters.

Labels of actions, counts and percentages are read in any language.
"""

# That there are too few cases to say.
TOO_FEW = (
    r"\b(?:too few|too little|not enough|insufficient|no (?:closed|earlier|comparable|similar|such|other) "
    r"(?:closed )?cases?|cannot (?:say|tell|know)|can ?not be (?:said|told)|can['’]?t (?:say|tell)"
    r"|do(?:es)? not know|don['’]?t know|hard to say|unknown|no (?:data|evidence|precedents?))\b"
)
# What not to do, to the end of the clause.
ADVISES_AGAINST = (
    r"\b(?:do not|don['’]?t|never|avoid|instead of|rather than|not to|worst|worse|least (?:likely|effective)"
    r"|did not work|mostly failed)\b[^.;:,!?\n]*"
)
# The group `best` is the clause that says what is best.
RECOMMENDS = r"(?s)(?P<best>[^.\n]*\b(?:best|recommend(?:ed)?|should|advise|choose|go with|i would|prefer)\b[^.\n]*)"
PERCENTAGE = r"(?P<value>\d{1,3}(?:\.\d{1,6})?) ?(?:%|per ?cent)"
PART_OF = r"(?P<part>\d{1,7}) (?:times? )?(?:of|out of|in) (?P<whole>\d{1,7})"  # as in 3 of 10
# Whether it will work.
NO = r"\b(?:no|not|n['’]t|won['’]?t|fail(?:s|ed)?|unlikely|false)\b|n['’]t\b"
YES = r"\b(?:yes|work(?:s|ed)?|succeed(?:s|ed)?|likely|true)\b"
# What earlier cases did: taken out before FORETELLS looks for an ending that is told as the case's own.
OF_OTHERS = r"\b(?:worked|did not work|failed|succeeded) (?:in|for|before|only|\d|most|best)"
FORETELLS = (
    r"\b(?:in this case|this time|in the end)\b[^\n]{0,200}\b(?:it|that|this|which) "
    r"(?:did not work|[a-z]{3,}ed|turned out)\b|\bit turned out\b"
)

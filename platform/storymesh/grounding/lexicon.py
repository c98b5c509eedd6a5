"""What words mean alike, and which of them turn a claim round: the vocabulary by which two tellings of one case
compare.

Words of one line of `ALIKE` count as the same word; all else compares by its stem. The list is of the language of
plans, delays, costs and results, not of any mesh; a word that it lacks costs evidence, never a wrong value.
"""

from functools import lru_cache


def listed(words: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(words.split())


ALIKE = """
expect: would will expect expected estimate estimated forecast predict anticipate project projected prediction
    projection foresee foreseen thought guess outlook feared expectation etd assume assessment
plan: instead should supposed meant plan planned schedule scheduled due timetable promise promised target deadline
    agreed
late: late delay delayed behind overdue tardy lateness slip slippage lag hold-up lateness setback
arrive: actual arrive arrived arrival reach reached deliver delivered delivery land landed docked received handed
    turned-up came
decide: decide decided decision choose chose chosen opt opted elect elected order ordered call called approve
    approved commit
cost: cost costs price priced pay paid spend spent bill billed expense expensive outlay usd dollar dollars budget
    invoice expenditure
worth: worth value valued
freight: freight carriage
recover: beat beats beating recover recovered recovery gain gained save saved saving savings regain reclaim claw
    clawed recoup recouped better improve improved improvement improving benefit worse worsened lose lost losing loss
    losses shave shaved win winning won earlier sooner faster slower longer shorter deteriorate outperform
try: try tried tries trying use used attempt attempted attempts employ employed apply applied uses trial tries
work: work worked works working succeed succeeded success successful successes successfully effective pay-off help
    helped fail failed failure failures fails unsuccessful ineffective
average: average averaging averaged mean typical typically
container: container containers box boxes teu
ship: ship ships vessel vessels boat boats
case: case cases precedent precedents instance instances example examples situation situations incident
split: split splitting spread spreading divide divided dividing distribute distributed distributing several
rail: rail train trains railway railroad railed railing
air: air plane planes fly flew flown flying airlift airlifted aircraft airfreight airborne flight aeroplane
wait: wait waited waiting sit sat sitting patience patient hold-out
transship: transship transshipped transshipping transshipment tranship transhipped transhipping transhipment transfer
    transferred transferring
reroute: reroute rerouted rerouting divert diverted diverting diversion diversions detour detoured redirect
    redirected redirecting route cape
priority: priority prioritise slot slots
congest: congestion congested jam jammed crowded crowding queue queued queues queuing backlog berth
weather: weather storm storms stormy
strike: strike labour walkout
engine: engine machinery mechanical
pilot: pilot pilots tug tugs
paper: paper papers paperwork document documents documentation customs authority authorities
security: security safety attack attacks attacked
draught: draught draft
pass: pass passed passes passing passage passages transit transits transited transiting crossed crossing
traffic: traffic
usual: usual normal ordinary regular normally usually ordinarily baseline standard
fewer: fewer less more above below under over lower higher down up reduction drop dropped fell fall falling decline
    declined increase rose
lowest: lowest trough minimum bottom bottomed low nadir quietest slowest
missing: missing shortfall short lacked absent
median: median
idle: idle idling idled stationary inactive
dwell: dwell dwelt stay stayed staying lingered remain remained
limit: limit limits limited threshold cutoff
pack: pack packs package packages packet packets
weigh: weight weigh weighed weighing kilogram kilograms kg heavy
goods: goods shipment shipments consignment consignments cargo cargoes load loads freightload
report: report reported reporting detect detected flag flagged notice noticed raise raised notify notified register
    registered
begin: begin began begun start started starting since commenced
end: end ended ending finish finished lasted lift lifted
final: final finally eventual eventually ultimately
last: last latest
day: day days daily
follow: follow followed tracked traced
turn: turn turned
best: best strongest top
worst: worst weakest poorest
carrier: carrier operator line shipped supported
urgent: urgent
bridge: bridge bridged bridging
buy: buy bought buying purchase purchased purchasing
port: port ports harbour harbor
know: know known record recorded
disrupt: disruption disruptions disrupted disturbance disturbances incident incidents
block: block blocked blocking blockage closed closure closures shut obstructed obstruction impassable
few: few little
near: near nearby close off
total: total totals totalled overall altogether combined together sum summed
origin: origin
"""

STOP = frozenset(
    listed(
        "a an the and or but of to in on at by for with from as is are was were be been being it its this that these "
        "those "
        "had has have having he she they them their there then than so if not no nor do does did done will would "
        "could can "
        "may might must should which who whom whose what when where while whereas because into onto about after "
        "before until "
        "till during over under up down out off again also just only very more most some any each every all both other "
        "another such own same too s t us we our you your i me my here how why still yet even though although however "
        "per via upon within without against between among across through around came come comes coming got get gets "
        "made first initial initially original originally outset "
        "make makes making take took taken takes put went go goes one ones well"
    )
)

MONTH_NAMES = frozenset(
    listed(
        "january february march april may june july august september october november december jan feb mar apr jun "
        "jul aug "
        "sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday"
    )
)

_SUFFIXES = (
    "ations", "ation", "ments", "ment", "ingly", "edly", "ions", "ing", "ers", "ies", "ied", "ion", "er", "ed", "es",
    "ly", "s", "e",
)  # fmt: skip


def stem(word: str) -> str:
    """The word without its ending: "containers" and "containing" give "contain". Rough, the same for both texts."""
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            root = word[: -len(suffix)]
            if suffix in ("ies", "ied"):
                return root + "i"
            if len(root) > 3 and root[-1] == root[-2] and root[-1] not in "aeiouls":
                root = root[:-1]
            return root
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


def _concepts() -> tuple[dict[str, str], dict[str, str]]:
    words: dict[str, str] = {}
    stems: dict[str, str] = {}
    for line in ALIKE.replace("\n    ", " ").split("\n"):
        name, _, members = line.partition(": ")
        for member in members.split():
            words.setdefault(member, name)
            stems.setdefault(stem(member), name)
    return words, stems


_WORDS, _STEMS = _concepts()


@lru_cache(maxsize=65_536)
def concept(low: str) -> str:
    """What a word in lower case stands for: the name of its line in `ALIKE`, else its stem; "" for a word that says
    nothing of its own."""
    if low in _WORDS:
        return _WORDS[low]
    if low in STOP or low in MONTH_NAMES or len(low) < 2:
        return ""
    root = stem(low)
    return _STEMS.get(root, root)


# Where two words are opposites, +1 and -1 on an axis. A claim is turned round by "not", "never", "hardly" before it.
WORKED = {
    **dict.fromkeys(
        listed(
            "worked works work working succeeded succeed succeeds success successes successful successfully effective "
            "fruitful reliable helped"
        ),
        1,
    ),
    **dict.fromkeys(
        listed(
            "failed fails fail failing failure failures unsuccessful unsuccessfully ineffective fruitless futile "
            "useless flopped backfired disappointing"
        ),
        -1,
    ),
}
BETTER = {
    **dict.fromkeys(
        listed(
            "recovered recover recovering recovery gained gain gaining saved save saving savings better improvement "
            "improved regained recouped sooner faster quicker shaved reclaimed ahead clawed beat beats beating"
        ),
        1,
    ),
    **dict.fromkeys(listed("lost lose losing loss losses worse deteriorated worsened slower missed"), -1),
}
BEST = {
    **dict.fromkeys(listed("best strongest safest"), 1),
    **dict.fromkeys(listed("worst weakest poorest"), -1),
}
MORE = {
    **dict.fromkeys(
        listed("more above rose increased increase higher exceeded exceeding over grew up surged climbed"), 1
    ),
    **dict.fromkeys(
        listed(
            "fewer less below fell dropped drop decreased decrease decline declined lower down under plunged slumped "
            "short shy"
        ),
        -1,
    ),
}
NEGATIONS = frozenset(
    listed(
        "not no never none neither nor nothing nobody hardly scarcely barely rarely seldom without cannot nobody n't "
        "failed"
    )
)

CAUSES = (
    ("because", "of"), ("because",), ("due", "to"), ("caused", "by"), ("owing", "to"), ("as", "a", "result", "of"),
    ("thanks", "to"), ("on", "account", "of"), ("blamed", "on"), ("attributed", "to"), ("attributable", "to"),
    ("triggered", "by"), ("stemming", "from"), ("stemmed", "from"), ("resulting", "from"), ("resulted", "from"),
    ("prompted", "by"), ("brought", "about", "by"), ("brought", "on", "by"), ("down", "to"), ("a", "consequence", "of"),
    ("as", "a", "consequence", "of"), ("following", "a"), ("following", "an"), ("traced", "to"),
    ("in", "the", "wake", "of"), ("the", "result", "of"), ("the", "culprit", "was"),
    ("reason", "was"), ("reason", "being"), ("reason", "given", "was"), ("cause", "given", "was"),
    ("cause", "was"), ("after", "a"), ("after", "an"), ("provoked", "by"),
)  # fmt: skip
"""Words that name what follows as a cause."""

FORWARD_CAUSES = (
    ("was", "given", "as"), ("were", "given", "as"), ("was", "named", "as"), ("were", "named", "as"), ("meant",),
    ("delayed", "the"), ("hit", "the"), ("caught", "up", "with"), ("held", "up", "the"), ("led", "to"),
    ("caused",), ("resulted", "in"), ("triggered",), ("brought", "about"), ("was", "to", "blame"),
    ("were", "to", "blame"), ("was", "responsible"), ("were", "responsible"),
)  # fmt: skip
"""Words that name what stands before them as a cause."""

SOFT_CAUSES = frozenset(
    {("following", "a"), ("following", "an"), ("after", "a"), ("after", "an"), ("down", "to"), ("thanks", "to")}
)
"""These may as well mean time, a number, or credit: only a cause of which the source knows nothing at all is told."""

CAUSE_CUES = frozenset(listed("reason cause caused because due blamed owing result why"))

DEMONYMS = {
    "french": "france", "dutch": "netherlands", "german": "germany", "italian": "italy", "spanish": "spain",
    "swiss": "switzerland", "belgian": "belgium", "british": "united kingdom", "english": "united kingdom",
    "greek": "greece", "turkish": "turkey", "egyptian": "egypt", "chilean": "chile", "bulgarian": "bulgaria",
    "romanian": "romania", "ukrainian": "ukraine", "american": "united states", "chinese": "china",
    "japanese": "japan", "indian": "india", "panamanian": "panama", "brazilian": "brazil", "mexican": "mexico",
    "peruvian": "peru", "ecuadorian": "ecuador", "colombian": "colombia", "malaysian": "malaysia",
    "singaporean": "singapore", "nigerian": "nigeria", "kenyan": "kenya", "zambian": "zambia",
    "mozambican": "mozambique", "vietnamese": "vietnam", "haitian": "haiti", "ethiopian": "ethiopia",
    "ugandan": "uganda", "tanzanian": "tanzania", "ivorian": "ivoire", "rwandan": "rwanda", "congolese": "congo",
    "zimbabwean": "zimbabwe", "guyanese": "guyana", "ghanaian": "ghana", "pakistani": "pakistan",
    "canadian": "canada", "australian": "australia", "korean": "korea", "taiwanese": "taiwan", "polish": "poland",
    "portuguese": "portugal", "swedish": "sweden", "danish": "denmark", "norwegian": "norway", "saudi": "saudi arabia",
    "african": "africa", "european": "europe", "asian": "asia",
}  # fmt: skip

GENERIC_NAME_PARTS = frozenset(
    listed(
        "the port of city canal strait channel river sea gulf ship vessel mv m v ms ss mt line lines and de la el le "
        "shipping "
        "container company co ltd case shipment order number imo no line"
    )
)

COMMON_CAPITALS = frozenset(
    listed(
        "i utc us usd usa imo eta etd iso teu un am pm mr ms mrs dr ok gmt kg nm ft eur gbp ceo faq id u s a uk eu "
        "january february march april may june july august september october november december monday tuesday "
        "wednesday "
        "thursday friday saturday sunday"
    )
)

COMMON_WORDS = frozenset(
    listed("""
    above according account across action actions advice afterwards again against ago ahead all almost alone along
    already also although altogether always among amount another answer any anyone anything apart arrival around
    aside at average background bad barely based because before behind being below beside besides best better between
    beyond big both bottom briefly brief broadly business but by call case cases cause causes change changes chapter
    check choice choosing clearly close coming compared concern conclusion conditions consequence considering context
    control costs could crew damage data date day days dear decision decisions delay delays delivery despite details
    did difference disruption do does doing down due during each earlier early eight eighteen eighty eleven either
    else end enough ensure even eventually ever every everyone everything evidence exactly example expected
    experience facts failing fair far fast few fewer fifteen fifth fifty final finally first five for forty four
    fourteen fourth freight from full further getting given giving goods good half hardly has have having he hello
    hence her here higher his history hope how however if impact important in indeed info information initial
    initially inside instead interestingly into is it its itself just keep keeping key knowing known last late later
    latest least left less lesson lessons let like likely little local long looking luckily made main mainly major
    make making many maybe me mean meanwhile might minor month months more moreover morning most mostly moving much
    must my name near nearly never nevertheless new next night nine nineteen ninety no nobody none nonetheless nor
    not note notes nothing notably now number of off officials often oh old on once one only open operations
    operators option options or order ordinarily original originally other others otherwise our out outcome over
    overall own part past patience people perhaps place plan planned planners planning please point poor precedent
    precedents previous previously prior problem put question quick quickly quite rather reached reading reason
    recent recently recommendation record records regarding regardless report result results review right roughly
    round said same saving second see seven seventeen seventy several she ship shipment ships short should similarly
    simply since situation six sixteen sixty slightly slow small so some someone something sometimes soon status
    steps step still stock story subsequently success such summary surely surprisingly take taken taking team teams
    tell ten than thankfully that the their them then there thereafter therefore these they thing things third
    thirteen thirty this those though three through throughout thus time timeline times title to today together too
    top total traffic trouble true trying twelve twenty twice two typical ultimately under unfortunately unknown
    unless unlike until up upon us use used usual usually verdict very via wait waiting was way we week weeks well
    were what whatever when where whereas whether which while who whoever whichever somebody nobody whole whose why
    will with within without word work worse would year years yes yet you your zero sadly normally customs staff
    dispatchers controllers shippers carriers managers management vessel vessels cargo boxes containers dwell median
    weighing worth valued measured seen counting judged set against sitting transferring splitting rerouting bridging
    flying buying rail road air sea costing priced spending
    """)
)

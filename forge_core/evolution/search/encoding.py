"""Encoding of a known Play as a genome of a search space, to seed a first generation.

The inverse of ``Genome.decode``: the result decodes to the same Play (by hash). Otherwise PlayError names the part that
the space cannot express.
"""

from collections.abc import Iterable

from forge_core.errors import PlayError
from forge_core.evolution.search.genes import Genes
from forge_core.evolution.search.genome import OPERANDS, QUORUMS, ROLES, Genome, Role, Side, SlotGenes, at_least
from forge_core.evolution.search.mirror import mirror_rule
from forge_core.evolution.search.search_space import Slot
from forge_core.features.reference import FeatureRef
from forge_core.plays.canonical import play_hash
from forge_core.plays.model import Compare, Distance, Group, Play, Risk, Rule, Trend
from forge_core.plays.rules import MIRROR, columns, rule_text

_Plain = Compare | Trend
_Assigned = list[tuple[Role, list[_Plain]]]  # each role's rules
_OPPOSITE: dict[Side | None, Side] = {"long": "short", "short": "long"}


def encode(genome: Genome, play: Play) -> Genes:
    """Return genes that decode to ``play``, apart from its name; raise PlayError if the space cannot express it."""
    space = genome.space
    if play.timeframe != space.timeframe:
        raise PlayError(f"timeframe: it trades on {play.timeframe}, the study on {space.timeframe}")
    groups = {
        Role("long"): _flat(play.entry_long, "entry.long"),
        Role("short"): _flat(play.entry_short, "entry.short"),
        Role("long", True): _flat(play.exit_long, "exit.long"),
        Role("short", True): _flat(play.exit_short, "exit.short"),
    }
    for role, (_, rules) in groups.items():
        if rules and role not in ROLES[space.sides]:
            raise PlayError(f"{_place(role)}: the study's sides are {space.sides}")
        if rules and role.exit and not groups[Role(role.side)][1]:
            raise PlayError(f"{_place(role)}: there is no entry of that side, which a space cannot express")
    quorums = [_quorum([groups[Role(side, leave)] for side in _OPPOSITE.values()], leave) for leave in (False, True)]
    risk = _risk_genes(genome, play)
    wanted = [(role, rules) for role, (_, rules) in groups.items() if rules]
    tries: list[tuple[_Assigned, int]] = [(wanted, 0)]
    if space.sides == "both" and _mirrored(groups):
        tries.insert(0, ([(role, rules) for role, rules in wanted if role.side == "long"], 1))
    refusal: PlayError | None = None
    for assigned, mirror in tries:
        try:
            slots = _fill(genome, assigned, bool(mirror))
        except PlayError as error:
            refusal = error
            continue
        places = [value for slot in slots for value in slot]
        places += [mirror] if space.sides == "both" else []
        places += [*quorums, *risk]
        genes = tuple(value for value, gene in zip(places, genome.layout, strict=True) if gene.size > 1)
        if play_hash(genome.decode(genes)) == play_hash(play):
            return genes
        refusal = PlayError(_what_differs(play, genome.decode(genes)))
    assert refusal is not None
    raise refusal


def _flat(group: Group | None, place: str) -> tuple[int, list[_Plain]]:
    """Return a group as a quorum over plain rules; raise PlayError for any other group."""
    if group is None:
        return 0, []
    every, some = group.at_least == len(group.rules), group.at_least == 1
    rules: list[_Plain] = []
    for rule in group.rules:
        if not isinstance(rule, Group):
            rules.append(rule)
            continue
        needed, inner = _flat(rule, place)
        if len(inner) > 1 and not ((every and needed == len(inner)) or (some and needed == 1)):
            raise PlayError(f"{place}: a group of rules within another; a space has one group a side")
        rules += inner
    if every or some:
        rules = list(dict.fromkeys(rules))
    return (len(rules) if every else group.at_least), rules


def _quorum(groups: Iterable[tuple[int, list[_Plain]]], leave: bool) -> int:
    """Return the gene of the quorum of each group, shared by both sides."""
    counts = [(needed, len(rules)) for needed, rules in groups if rules]
    for quorum in range(QUORUMS):
        if all(at_least(quorum, rules) == needed for needed, rules in counts):
            return quorum
    asked = " and ".join(f"{needed} of {rules}" for needed, rules in counts)
    raise PlayError(f"{'exit' if leave else 'entry'}: at least {asked} rules is no step between any and all")


def _mirrored(groups: dict[Role, tuple[int, list[_Plain]]]) -> bool:
    """Whether short is the mirror image of long."""
    return all(
        {_key(mirror_rule(rule)) for rule in groups[Role("long", leave)][1]}
        == {_key(rule) for rule in groups[Role("short", leave)][1]}
        for leave in (False, True)
    )


def _fill(genome: Genome, assigned: _Assigned, mirrored: bool) -> list[SlotGenes]:
    """Return the genes of every slot, those of unused ones 0."""
    slots = [SlotGenes(0, 0, 0, 0, 0, 0)] * len(genome.space.slots)
    free = list(range(len(slots)))
    for role, rules in assigned:
        for rule in rules:
            images = [(role, rule)]
            if mirrored:  # what the space has no column for may be the mirror image of what it has
                images.append((Role(_OPPOSITE[role.side], role.exit), _plain(mirror_rule(rule))))
            place, genes = _first_slot(genome, free, images)
            free.remove(place)
            slots[place] = genes
    return slots


def _first_slot(genome: Genome, free: list[int], images: list[tuple[Role, _Plain]]) -> tuple[int, SlotGenes]:
    """Return the first free slot that can hold one of ``images``, and its genes."""
    found: dict[int, SlotGenes | None] = {}  # by the slots that are alike
    for place in range(len(genome.space.slots)):
        alike = genome.alike[place]
        if alike not in found:
            held = (_held(genome, alike, role, rule) for role, rule in images)
            found[alike] = next((genes for genes in held if genes is not None), None)
        genes = found[alike]
        if genes is not None and place in free:
            return place, genes
    role, rule = images[0]
    place_name, text = _place(role), rule_text(rule, lambda reference: reference.canonical)
    if any(genes is not None for genes in found.values()):
        raise PlayError(f"{place_name}: no slot of the space is left for `{text}`: raise its level or number of slots")
    raise PlayError(f"{place_name}: `{text}`: {_why_not(genome, rule)}")


def _held(genome: Genome, place: int, role: Role, rule: _Plain) -> SlotGenes | None:
    """Return the genes with which slot ``place`` expresses ``rule``, None if it cannot."""
    slot, operators = genome.space.slots[place], genome.space.operators
    for wanted in (rule, _turned(rule)):
        for reference in columns(wanted):
            column, parameters, timeframe = _column(genome, place, slot, reference)
            if column is None or parameters is None or timeframe is None:
                continue
            for operator in range(len(operators)):
                for operand in range(OPERANDS):
                    if genome.rule(place, column, parameters, timeframe, operator, operand) == wanted:
                        number = ROLES[genome.space.sides].index(role)
                        return SlotGenes(number, column, parameters, timeframe, operator, operand)
    return None


def _column(genome: Genome, place: int, slot: Slot, reference: FeatureRef) -> tuple[int | None, int | None, int | None]:
    """Return the genes column, parameters and timeframe of ``reference`` in a slot, None if unavailable."""
    timeframe = slot.timeframes.index(reference.timeframe) if reference.timeframe in slot.timeframes else None
    for number, column in enumerate(slot.columns):
        named = (column.definition.name, column.output.name, column.transform, column.symbol)
        if named == (reference.name, reference.output, reference.transform, reference.symbol):
            size = genome.parameter_sizes[place]
            chosen = (
                gene for gene in range(size) if column.choices[gene * len(column.choices) // size] == reference.params
            )
            return number, next(chosen, None), timeframe
    return None, None, timeframe


def _why_not(genome: Genome, rule: _Plain) -> str:
    """Return the part of a rule that no slot can express."""
    kind = rule.direction if isinstance(rule, Trend) else rule.operator
    if kind not in genome.space.operators and (
        isinstance(rule, Trend) or MIRROR[rule.operator] not in genome.space.operators
    ):
        return f"the space's operators are {', '.join(genome.space.operators)}"
    places = sorted(set(genome.alike))
    reasons = []
    for reference in columns(rule):
        if reference.name == "close":
            continue
        parts = [_column(genome, place, genome.space.slots[place], reference) for place in places]
        known = [(place, part) for place, part in zip(places, parts, strict=True) if part[0] is not None]
        if not known:
            reasons.append(f"the space has no column {reference.name}.{reference.output}")
        elif all(part[1] is None for _, part in known):
            place, part = known[0]
            choices = genome.space.slots[place].columns[part[0] or 0].choices
            listed = "; ".join(", ".join(f"{name} {value:g}" for name, value in choice) for choice in choices)
            reasons.append(f"of {reference.name} the space has {listed or 'no parameters'}")
        elif all(part[2] is None for _, part in known):
            reasons.append(f"the space reads the timeframes {', '.join(genome.space.timeframes)}")
    return reasons[0] if reasons else "the space does not set this column against that"


def _risk_genes(genome: Genome, play: Play) -> list[int]:
    """Return the genes of stop, target, trail (kind and value of each) and time limit."""
    risk, space = play.risk, genome.space.risk
    plain = Risk()
    for name, value, usual in (
        ("risk.size", risk.size, plain.size),
        ("risk.cooldown", risk.cooldown, plain.cooldown),
        ("warmup_bars", play.warmup_bars, 0),
    ):
        if value != usual:
            raise PlayError(f"{name}: a space leaves it at its default")
    values: list[int] = []
    for name, distance in (("stop", risk.stop), ("take_profit", risk.take_profit), ("trailing", risk.trailing)):
        values += _distance_genes(name, distance, genome.distances[name])
    if risk.max_bars is not None and risk.max_bars not in space.max_bars:
        raise PlayError(f"risk.max_bars: {risk.max_bars} is none of {', '.join(map(str, space.max_bars))}")
    return [*values, 0 if risk.max_bars is None else 1 + space.max_bars.index(risk.max_bars)]


def _distance_genes(name: str, distance: Distance | None, kinds: list[list[Distance]]) -> tuple[int, int]:
    if distance is None:
        return 0, 0
    longest = max((len(choices) for choices in kinds), default=0)
    for kind, choices in enumerate(kinds, start=1):
        for value in range(longest):
            if choices[value * len(choices) // longest] == distance:
                return kind, value
    listed = ", ".join(f"{d.kind} {d.value:g}" for choices in kinds for d in choices)
    period = f" of {distance.timeperiod} bars" if distance.kind == "atr" else ""
    raise PlayError(f"risk.{name}: {distance.kind} {distance.value:g}{period} is none of {listed or 'none'}")


def _what_differs(play: Play, decoded: Play) -> str:
    if play.sides != decoded.sides:
        return f"sides: {play.sides}, with entries of the other side that only close; a space has no such Play"
    return "its rules: two of them say the same, of which a space keeps one"


def _place(role: Role) -> str:
    return f"{'exit' if role.exit else 'entry'}.{role.side}"


def _plain(rule: Rule) -> _Plain:
    assert not isinstance(rule, Group)
    return rule


def _turned(rule: _Plain) -> _Plain:
    """Return a comparison of two columns with swapped operands, other rules unchanged."""
    if isinstance(rule, Compare) and isinstance(rule.right, FeatureRef):
        return Compare(rule.right, MIRROR[rule.operator], rule.left)
    return rule


def _key(rule: Rule) -> frozenset[_Plain]:
    return frozenset((_plain(rule), _turned(_plain(rule))))

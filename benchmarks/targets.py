"""What a figure of kbert must be: a multiple of another's, over or under a number, near one, apart from another's."""

from dataclasses import dataclass

from benchmarks.figures import Runs, best_of_ours, is_rate, middle, number, unit_of


@dataclass(frozen=True)
class Multiple:
    """A multiple of another contender's figure: at least, or at most where the aim is the smaller one.

    Args:
        figure: as its worker says it.
        against: name of the contender that kbert's best is compared with.
        least, aim: the multiples.
        ours: name of the contender of ours that is meant; None for the best.
    """

    figure: str
    against: str
    least: float
    aim: float
    ours: str | None = None

    def verdict(self, runs: Runs) -> str:
        """What is asked, and what kbert's best is, or that of one contender of ours."""
        ours = best_of_ours({who: lines for who, lines in runs.items() if self.ours in (None, who)})
        theirs, subject = runs.get(self.against), f"{self.figure} of {self.ours}" if self.ours else self.figure
        asked = f"{subject}: {side(self)} {self.least:g} x that of {self.against}, aim {self.aim:g} x"
        if not theirs or ours is None:
            return f"{asked}; not compared"
        ratio = ours / middle(theirs)
        return f"{asked}; {ratio:.2f} x, {reached(self, ratio)}"


@dataclass(frozen=True)
class Within:
    """At most so many of the figure's own unit worse than another contender; the aim is to be better."""

    figure: str
    against: str
    within: float

    def verdict(self, runs: Runs) -> str:
        """What is asked, and how far kbert's best is from theirs."""
        ours, theirs = best_of_ours(runs), runs.get(self.against)
        asked = f"{self.figure}: at most {self.within:g} worse than {self.against}, aim better"
        if not theirs or ours is None:
            return f"{asked}; not compared"
        apart = ours - middle(theirs)
        better = apart if is_rate(unit_of(runs)) else -apart
        met = "aim reached" if better > 0 else "reached" if better >= -self.within else "NOT reached"
        return f"{asked}; {apart:+.2f}, {met}"


@dataclass(frozen=True)
class Bound:
    """A number in the figure's own unit: at least, or at most where the aim is the smaller one."""

    figure: str
    least: float
    aim: float

    def verdict(self, runs: Runs) -> str:
        """What is asked, and what kbert's best is."""
        ours = best_of_ours(runs)
        aim = "" if self.aim == self.least else f", aim {self.aim:,.10g}"
        asked = f"{self.figure}: {side(self)} {self.least:,.10g}{aim}"
        return f"{asked}; not measured" if ours is None else f"{asked}; {number(ours)}, {reached(self, ours)}"


@dataclass(frozen=True)
class Near:
    """At most `within` away from `value`, both in the figure's unit."""

    figure: str
    value: float
    within: float

    def verdict(self, runs: Runs) -> str:
        """What is asked, and what kbert's is."""
        ours, asked = best_of_ours(runs), f"{self.figure}: within {self.within:g} of {self.value:g}"
        if ours is None:
            return f"{asked}; not measured"
        return f"{asked}; {ours:.2f}, {'reached' if abs(ours - self.value) <= self.within else 'NOT reached'}"


@dataclass(frozen=True)
class Apart:
    """Every run of `who` is better than every run of `against`; how much better in the mean is said."""

    figure: str
    who: str
    against: str

    def verdict(self, runs: Runs) -> str:
        """What is asked, and by how much the means differ."""
        asked = f"{self.figure}: {self.who} better than {self.against} with every seed"
        ours, theirs = ([line["value"] for line in runs.get(who, ())] for who in (self.who, self.against))
        if not ours or not theirs:
            return f"{asked}; not compared"
        unit = unit_of(runs)
        met = min(ours) > max(theirs) if is_rate(unit) else max(ours) < min(theirs)
        difference = sum(ours) / len(ours) - sum(theirs) / len(theirs)
        told = f"{difference:+.2f} {'points' if unit == '%' else unit}".rstrip()
        return f"{asked}; {told} in the mean of {len(ours)}, {'reached' if met else 'NOT reached'}"


Target = Multiple | Bound | Near | Apart


def side(target: Multiple | Bound) -> str:
    """Which side of its bounds is good."""
    return "at least" if target.aim >= target.least else "at most"


def reached(target: Multiple | Bound, value: float) -> str:
    """Which of its bounds a value has reached."""
    sign = 1 if target.aim >= target.least else -1
    if sign * value < sign * target.least:
        return "NOT reached"
    return "aim reached" if sign * value >= sign * target.aim and target.aim != target.least else "reached"

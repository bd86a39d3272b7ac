"""Particles of Upsilon(4S) decays and their main decays, for stand-in events.

Masses, widths and lifetimes are those of the Particle Data Group to about four digits. The channels are the large ones
of its tables, a few of them standing for many smaller ones; fractions are relative, and only those of particles (not of
their antiparticles) are written down.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Species:
    """Mass and width in GeV, mean flight path c tau in cm, charge in units of e."""

    mass: float
    width: float = 0.0
    flight: float = 0.0
    charge: int = 0


SPECIES: dict[int, Species] = {
    11: Species(0.000511, charge=-1),
    12: Species(0.0),
    13: Species(0.10566, charge=-1),
    14: Species(0.0),
    15: Species(1.77693, flight=0.0087, charge=-1),
    16: Species(0.0),
    22: Species(0.0),
    111: Species(0.13498, flight=2.5e-6),
    113: Species(0.77526, 0.1474),
    130: Species(0.49761),
    211: Species(0.13957, charge=1),
    213: Species(0.77511, 0.1491, charge=1),
    221: Species(0.54786),
    223: Species(0.78266, 0.0087),
    310: Species(0.49761, flight=2.684),
    313: Species(0.89555, 0.0473),
    321: Species(0.49368, charge=1),
    323: Species(0.89167, 0.0514, charge=1),
    331: Species(0.95778),
    333: Species(1.01946, 0.00425),
    411: Species(1.86966, flight=0.0312, charge=1),
    413: Species(2.01026, charge=1),
    415: Species(2.4611, 0.0473, charge=1),
    421: Species(1.86484, flight=0.0123),
    423: Species(2.00685),
    425: Species(2.4611, 0.0473),
    431: Species(1.96835, flight=0.0151, charge=1),
    433: Species(2.1122, charge=1),
    443: Species(3.0969),
    511: Species(5.27972, flight=0.0455),
    521: Species(5.27941, flight=0.0491, charge=1),
    2112: Species(0.93957),
    2212: Species(0.93827, charge=1),
    3122: Species(1.11568, flight=7.89),
    4122: Species(2.28646, flight=0.0061, charge=1),
    10413: Species(2.4221, 0.0313, charge=1),
    10423: Species(2.4221, 0.0313),
    20213: Species(1.23, 0.42, charge=1),
    300553: Species(10.5794),
}

OWN_ANTIPARTICLE = frozenset((22, 111, 113, 130, 221, 223, 310, 331, 333, 443, 300553))

_TABLE = """
300553  .514 521 -521; .486 511 -511
521     .0558 -423 -11 12; .0558 -423 -13 14; .0125 -423 -15 16; .0227 -421 -11 12; .0227 -421 -13 14
521     .0077 -421 -15 16; .0035 -10423 -11 12; .0035 -10423 -13 14; .002 -425 -11 12; .002 -425 -13 14
521     .0047 -421 211; .0134 -421 213; .0049 -423 211; .0098 -423 213; .0056 -421 211 211 -211
521     .0103 -423 211 211 -211; .004 -421 20213; .019 -423 20213; .009 -421 431; .0076 -421 433; .0082 -423 431
521     .0171 -423 433; .001 443 321; .0014 443 323; .0011 -411 211 211; .0014 -413 211 211; .015 -413 211 211 111
521     .018 -423 211 211 -211 111; .02 -421 211 211 -211 111; .0004 -421 321; .0063 -421 423 321; .0112 -423 423 321
521     .0015 -421 421 321; .0015 -4122 2212 211; .003 -4122 2212 211 111; .015 -421 211 111; .012 -423 211 111 111
521     .006 -421 213 211 -211
511     .0497 -413 -11 12; .0497 -413 -13 14; .0145 -413 -15 16; .0212 -411 -11 12; .0212 -411 -13 14
511     .0099 -411 -15 16; .003 -10413 -11 12; .003 -10413 -13 14; .002 -415 -11 12; .002 -415 -13 14; .0025 -411 211
511     .0076 -411 213; .0027 -413 211; .0068 -413 213; .006 -411 211 211 -211; .0072 -413 211 211 -211
511     .006 -411 20213; .013 -413 20213; .0072 -411 431; .0074 -411 433; .008 -413 431; .0177 -413 433; .0009 443 310
511     .0013 443 313; .0009 -421 211 -211; .0006 -423 211 -211; .0176 -413 211 211 -211 111
511     .02 -411 211 211 -211 111; .0002 -411 321; .0107 -411 423 321; .0247 -413 423 321; .0081 -413 413 310
511     .002 -4122 2212 211 -211; .0025 -421 223; .0027 -423 223; .012 -413 211 111; .014 -411 211 111
511     .006 -421 211 -211 111
421     .0395 -321 211; .112 -321 213; .0231 -323 211; .0195 -313 111; .0822 -321 211 211 -211
421     .043 -321 211 211 -211 111; .028 310 211 -211; .0124 310 111; .052 310 211 -211 111; .0355 -321 -11 12
421     .0341 -321 -13 14; .0216 -323 -11 12; .019 -323 -13 14; .01 130 111; .028 130 211 -211; .05 130 211 -211 111
421     .0051 310 221; .0111 310 223; .0095 310 331; .0041 -321 321; .0015 211 -211; .0149 211 -211 111; .004 310 333
421     .019 -321 211 221; .05 -321 211 111 111
411     .0938 -321 211 211; .0625 -321 211 211 111; .0156 310 211; .0736 310 211 111; .031 310 211 211 -211
411     .0436 310 -11 12; .0436 130 -11 12; .0438 310 -13 14; .0438 130 -13 14; .054 -313 -11 12; .0527 -313 -13 14
411     .0146 130 211; .07 130 211 111; .03 130 211 211 -211; .0097 321 -321 211; .0057 333 211; .0033 211 211 -211
411     .0012 211 111; .0057 -321 211 211 211 -211; .02 -313 213
431     .045 333 211; .03 321 -321 211; .0145 310 321; .0168 221 211; .0394 331 211; .0559 333 213; .089 221 213
431     .058 331 213; .0239 333 -11 12; .024 333 -13 14; .0227 221 -11 12; .024 221 -13 14; .0532 -15 16
431     .055 321 -321 211 111; .01 310 321 211 -211; .0108 211 211 -211
413     .677 421 211; .307 411 111; .016 411 22
423     .647 421 111; .353 421 22
433     .935 431 22; .058 431 111
10413   .667 423 211; .333 413 111
10423   .667 413 -211; .333 423 111
415     .2 423 211; .1 413 111; .46 421 211; .24 411 111
425     .2 413 -211; .1 423 111; .46 411 -211; .24 421 111
15      .178 11 -12 16; .174 13 -14 16; .108 -211 16; .255 -213 16; .18 -20213 16; .007 -321 16; .012 -323 16
443     .0597 11 -11; .0596 13 -13; .021 211 -211 111; .0085 213 -211; .0085 -213 211; .0056 113 111; .0021 2212 -2212
443     .15 211 211 -211 -211 111; .1 211 -211 111 111; .05 321 -321 211 -211; .02 321 -321 111; .0086 223 211 -211
111     .988 22 22; .012 22 11 -11
221     .394 22 22; .327 111 111 111; .229 211 -211 111; .043 211 -211 22
331     .425 211 -211 221; .295 113 22; .224 111 111 221; .025 223 22; .023 22 22
223     .892 211 -211 111; .084 111 22; .015 211 -211
333     .491 321 -321; .339 130 310; .154 211 -211 111; .013 221 22
113     1 211 -211
213     1 211 111
20213   .5 113 211; .5 213 111
313     .667 321 -211; .167 310 111; .166 130 111
323     .333 310 211; .333 130 211; .334 321 111
310     .692 211 -211; .308 111 111
3122    .64 2212 -211; .36 2112 111
4122    .06 2212 -321 211; .016 2212 310; .013 3122 211; .07 3122 211 111; .036 3122 211 211 -211; .036 3122 -11 12
4122    .035 3122 -13 14; .045 2212 -321 211 111
"""
"""PDG code of the mother, then channels: relative fraction and daughters."""

Channel = tuple[float, tuple[int, ...]]


def conjugate(code: int) -> int:
    """The antiparticle."""
    return code if code in OWN_ANTIPARTICLE else -code


def charge(code: int) -> int:
    """In units of e."""
    return SPECIES[abs(code)].charge * (1 if code > 0 else -1)


@cache
def channels() -> dict[int, tuple[Channel, ...]]:
    """Decays of every particle and antiparticle that decays; the fractions of each add up to 1."""
    found: dict[int, list[Channel]] = {}
    for line in _TABLE.strip().splitlines():
        code, _, rest = line.partition(" ")
        for channel in rest.split(";"):
            fraction, *daughters = channel.split()
            found.setdefault(int(code), []).append((float(fraction), tuple(map(int, daughters))))
    for mother in [code for code in found if code not in OWN_ANTIPARTICLE]:
        found[-mother] = [(fraction, tuple(map(conjugate, daughters))) for fraction, daughters in found[mother]]
    totals = {mother: sum(fraction for fraction, _ in every) for mother, every in found.items()}
    return {mother: tuple((f / totals[mother], d) for f, d in every) for mother, every in found.items()}


@cache
def lowest_mass(code: int) -> float:
    """The lightest that a particle is made: its width cut off, and heavy enough for each of its decays; GeV."""
    species = SPECIES[abs(code)]
    if not species.width:
        return species.mass
    heaviest = max(sum(map(lowest_mass, daughters)) for _, daughters in channels()[code])
    return max(species.mass - 1.5 * species.width, heaviest + 0.002)

"""All contenders, in the order in which they are named when nothing else orders them."""

from ..contender import Contender
from . import (
    abess,
    adelie,
    celer,
    naive,
    ours,
    plain,
    proximal,
    pylops,
    skglm,
    sklearn,
    spams,
    spgl1,
)

MODULES = (ours, plain, naive, adelie, proximal, spgl1, spams, abess, sklearn, skglm, celer, pylops)
CONTENDERS: dict[str, Contender] = {
    one.name: one for module in MODULES for one in module.CONTENDERS
}

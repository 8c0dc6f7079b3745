"""Campaigns: a list of optimizations evaluated one after another, with a ledger of what became of each.

    campaign.toml --read--> Campaign --plan--> next step --measure--> one pytest run --> decision document
                                ^                                                             |
                                +------------ ledger.json (append-only events) <--------------+
    Campaign + ledger --product--> chains of multiplied ratios --report--> campaign.md, waterfall.svg

`read`, `plan` and `product` are pure; `ledger` and `measure` are the only modules that touch files and
processes; `run` is the loop over them. The TOML file says what is planned, the ledger what happened: every
state is computed from the two, so a campaign that was interrupted goes on where it stopped.
"""

from __future__ import annotations

"""Truth: latent state of each applicant at its observation month, and its true probability of default.

Placeholder while the futures are written.
"""
from __future__ import annotations
import numpy as np, pandas as pd
from synthetic_data import calendar
class Truth:
    def __init__(self, roster, seeds, with_futures):
        self.roster=roster; self.parts=[]
    def observe(self, present):
        a=present.applications
        if a is None: return
        s=present.state
        loan=(a.amount/a.firms.scale)
        from synthetic_data.applications import PURPOSE_CASH
        self.parts.append(pd.DataFrame(dict(liquidity=s.liquidity[a.slot],post=s.liquidity[a.slot]+loan*np.array(PURPOSE_CASH)[a.purpose],debt=s.debt[a.slot]+loan,orders=s.orders[a.slot],backlog=s.backlog[a.slot],demand=s.demand[a.slot],habit=s.habit[a.slot],owed=s.owed[a.slot],overdue=s.overdue[a.slot],late=present.around.lateness[a.slot],
          capacity=a.firms.capacity,volatility=a.firms.volatility,net=a.firms.margin-a.firms.fixed,margin=a.firms.margin,informal=a.firms.informal,cycle=present.around.cycle[a.slot])))
    def table(self):
        r=self.roster; k=r.applicant
        t=pd.concat(self.parts,ignore_index=True)
        t.insert(0,"business_id",r.code[k]); t.insert(1,"observation_month",calendar.timestamps(r.observed[k])); t.insert(2,"default",r.default[k].astype(np.int8))
        return t

//! What is remembered of a server from one visit to the next.

use wharfinger_decisions::{
    power::History,
    server::{Power, ServerPhase},
    settings::refused::RefusedSetting,
};

use super::Findings;
use crate::memory::Memory;

impl Findings<'_> {
    /// What is remembered of a server in `phase`.
    pub(super) fn memory(&self, phase: ServerPhase) -> Memory {
        let (memory, observation) = (self.reached.memory.clone(), &self.reached.observation);
        // Also one that AWS has shown while it starts: the next answer may be older.
        let made = memory.made_lately(self.now).filter(|_| !self.is_open()).cloned();
        Memory {
            history: self.history(phase),
            draining: memory.draining.filter(|_| self.may_be_open()),
            making: memory.making.filter(|_| self.may_be_coming()),
            // A deletion that was not answered may have been done.
            asleep: memory.asleep.filter(|_| {
                let is_settled = matches!(phase, ServerPhase::Online | ServerPhase::Stopped);
                self.wanted.power == Power::Asleep || !is_settled || !self.lacks.is_empty()
            }),
            keyed: memory.keyed,
            // Whoever gives it a log later: what was before is not in it.
            logged_since: match observation.server() {
                Some(server) if server.log_group_arn.is_none() => Some(self.now),
                _ => memory.logged_since,
            },
            made,
            refused_settings: self.refused_settings(),
            settings_search: memory
                .settings_search
                .filter(|_| self.wanted.opens() && self.reached.observation.server().is_none()),
        }
    }

    /// What AWS refused, and nobody has given the server since.
    pub(super) fn refused_settings(&self) -> Vec<RefusedSetting> {
        let refused = &self.reached.memory.refused_settings;
        match self.reached.observation.server() {
            Some(server) => refused.iter().filter(|it| it.is_missing(&server.settings)).cloned().collect(),
            None => refused.clone(),
        }
    }

    fn history(&self, phase: ServerPhase) -> History {
        let wanted = &self.wanted.placement;
        let history = self.reached.memory.history.clone();
        let placement = self.reached.observation.server().map(|server| &server.placement);
        let in_use = placement.filter(|_| phase == ServerPhase::Online && self.is_open());
        let history =
            if self.reached.observation.server.is_ok() { history.after_look(wanted, placement) } else { history };
        History {
            in_service: in_use.cloned().or(history.in_service),
            // Another one is wanted now, or this one was taken after all.
            refused: history
                .refused
                .filter(|refused| refused.placement == *wanted && Some(&refused.placement) != placement),
            ..history
        }
    }
}

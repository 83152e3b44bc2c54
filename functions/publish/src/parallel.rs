//! Work on several files at once: a network file system takes some milliseconds for each step, and many steps at a time.

use std::{
    panic,
    sync::{Mutex, PoisonError},
    thread,
};

/// Calls `work` for each of `items`, on up to `workers` threads, and returns what it returned, in the order of `items`.
pub(crate) fn in_parallel<T: Send, R: Send>(workers: usize, items: Vec<T>, work: impl Fn(T) -> R + Sync) -> Vec<R> {
    let workers = workers.min(items.len());
    if workers <= 1 {
        return items.into_iter().map(work).collect();
    }
    let waiting = Mutex::new(items.into_iter().enumerate());
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || std::iter::from_fn(next).map(|(number, item)| (number, work(item))).collect::<Vec<_>>();
    let mut done: Vec<(usize, R)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(worker)).collect();
        threads
            .into_iter()
            .flat_map(|thread| thread.join().unwrap_or_else(|cause| panic::resume_unwind(cause)))
            .collect()
    });
    done.sort_unstable_by_key(|(number, _)| *number);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_items() {
        let items: Vec<_> = (0..1000).collect();
        for workers in [0, 1, 7, 2000] {
            assert_eq!(
                in_parallel(workers, items.clone(), |item| item * 2),
                (0..1000).map(|n| n * 2).collect::<Vec<_>>()
            );
        }
    }
}

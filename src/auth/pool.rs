//! Threads that hash passwords and do nothing else.
//!
//! A hash takes a core for tens of milliseconds. These threads are few and give way to all others, so
//! that a flood of sign-ins delays sign-ins only.
//!
//! Invariant: who has a place gets its turn, places are few, and work whose caller went away is not
//! done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::Block;
use rustix::process::{getpriority_process, setpriority_process};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::hash;

/// How much nicer the threads are than the rest of the process: a tenth of an ordinary thread's share
/// where both want the same core, so that sign-ins go on while the machine is busy.
const NICER: i32 = 10;
const NICEST: i32 = 19;

type Work = Box<dyn FnOnce(&mut [Block]) + Send>;

/// The threads; they end with the last reference.
#[derive(Clone)]
pub(super) struct Pool {
    queue: Sender<Work>,
    places: Arc<Semaphore>,
}

/// A place in the queue, free again when the work is done or will not be.
pub(super) struct Place {
    queue: Sender<Work>,
    permit: OwnedSemaphorePermit,
}

/// The work panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work panicked")]
pub(super) struct Panicked;

impl Pool {
    /// Starts `threads` threads, before which at most `waiting` pieces of work wait.
    pub fn start(threads: usize, waiting: usize) -> Self {
        let (queue, work) = channel();
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads {
            let work = Arc::clone(&work);
            let thread = thread::Builder::new().name("passwords".to_owned());
            thread
                .spawn(move || serve(&work))
                .expect("a process that cannot have threads cannot serve");
        }
        Self {
            queue,
            places: Arc::new(Semaphore::new(threads + waiting)),
        }
    }

    /// A place in the queue, if there is one.
    pub fn place(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let queue = self.queue.clone();
        Some(Place { queue, permit })
    }
}

impl Place {
    /// Does `work` when its turn comes, on memory that is kept for it.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, Panicked> {
        let Self { queue, permit } = self;
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |memory: &mut [Block]| {
            // The place is free before the caller knows, also when the work panics.
            let place = permit;
            if answer.is_closed() {
                return;
            }
            let done = work(memory);
            drop(place);
            // A caller who left meanwhile needs no answer.
            let _ = answer.send(done);
        });
        queue.send(work).expect("threads outlive the queue");
        answered.await.map_err(|_| Panicked)
    }
}

fn serve(queue: &Mutex<Receiver<Work>>) {
    // On Linux "the process" is the calling thread: https://man7.org/linux/man-pages/man2/setpriority.2.html
    let gave_way = getpriority_process(None)
        .and_then(|ours| setpriority_process(None, (ours + NICER).min(NICEST)));
    if let Err(error) = gave_way {
        tracing::warn!(%error, "sign-ins will compete with other requests");
    }
    // 19 MiB, taken when first needed: an ingress that only takes calls never does.
    let mut memory = None;
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else {
            return;
        };
        // The panic hook tells where; the caller gets an error.
        let memory: &mut Vec<Block> = memory.get_or_insert_with(hash::memory);
        let _ = catch_unwind(AssertUnwindSafe(|| work(memory)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use tokio::task::JoinSet;

    use super::*;

    impl Pool {
        async fn run<T: Send + 'static>(
            &self,
            work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
        ) -> Result<T, Panicked> {
            self.place().unwrap().run(work).await
        }

        /// Occupies a thread until the sender is used.
        async fn occupied(&self) -> (mpsc::Sender<()>, JoinSet<Result<(), Panicked>>) {
            let (release, released) = mpsc::channel();
            let (begin, begun) = oneshot::channel();
            let mut task = JoinSet::new();
            task.spawn(self.place().unwrap().run(move |_| {
                begin.send(()).unwrap();
                released.recv().unwrap();
            }));
            begun.await.unwrap();
            (release, task)
        }
    }

    #[tokio::test]
    async fn only_its_own_threads_give_way() {
        let ours = getpriority_process(None).unwrap();
        let pool = Pool::start(1, 1);
        let theirs = pool.run(|_| getpriority_process(None).unwrap()).await;
        assert_eq!(theirs, Ok((ours + NICER).min(NICEST)));
        assert_eq!(getpriority_process(None).unwrap(), ours);
    }

    #[tokio::test]
    async fn beyond_the_queue_there_is_no_place() {
        let pool = Pool::start(1, 1);
        let (release, mut task) = pool.occupied().await;
        let waits = pool.run(|_| 1);
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        assert!(pool.place().is_none());
        release.send(()).unwrap();
        assert_eq!(waits.await, Ok(1));
        task.join_next().await.unwrap().unwrap().unwrap();
        assert_eq!(pool.run(|_| 3).await, Ok(3));
        let unused = pool.place().unwrap();
        drop(unused);
        assert_eq!(pool.run(|_| 4).await, Ok(4));
    }

    #[tokio::test]
    async fn whoever_left_before_their_turn_is_passed_over() {
        let pool = Pool::start(1, 2);
        let (release, _task) = pool.occupied().await;
        let done = Arc::new(AtomicBool::new(false));
        let mark = Arc::clone(&done);
        {
            let leaves = pool.run(move |_| mark.store(true, Ordering::SeqCst));
            tokio::pin!(leaves);
            assert!(futures::poll!(&mut leaves).is_pending());
        }
        let stays = pool.run(|_| ());
        tokio::pin!(stays);
        assert!(futures::poll!(&mut stays).is_pending());
        release.send(()).unwrap();
        stays.await.unwrap();
        assert!(!done.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn a_panic_costs_neither_thread_nor_place() {
        let pool = Pool::start(1, 0);
        let broken = pool.run(|_| assert!(std::hint::black_box(false))).await;
        assert_eq!(broken, Err(Panicked));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }
}

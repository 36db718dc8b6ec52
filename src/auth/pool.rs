//! Threads that hash passwords and do nothing else.
//!
//! A hash takes a core for tens of milliseconds. These threads are few and give way to all others, so
//! that a flood of sign-ins delays sign-ins only.
//!
//! Invariant: the queue is bounded, and work whose caller went away is not done.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use argon2::Block;
use tokio::sync::oneshot;

use super::hash;

/// Niceness of the threads: a tenth of an ordinary thread's share where both want the same core, so
/// that sign-ins go on while the machine is busy.
const NICENESS: i32 = 10;

type Work = Box<dyn FnOnce(&mut [Block]) + Send>;

/// The threads; they end with the last reference.
pub(super) struct Pool {
    queue: SyncSender<Work>,
}

/// Why work was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PoolError {
    #[error("the queue is full")]
    Full,
    #[error("the work panicked")]
    Panicked,
}

impl Pool {
    /// Starts `threads` threads, before which at most `waiting` pieces of work wait.
    pub fn start(threads: usize, waiting: usize) -> Self {
        let (queue, work) = sync_channel(waiting);
        let work = Arc::new(Mutex::new(work));
        for _ in 0..threads {
            let work = Arc::clone(&work);
            let thread = thread::Builder::new().name("passwords".to_owned());
            thread
                .spawn(move || serve(&work))
                .expect("a process that cannot have threads cannot serve");
        }
        Self { queue }
    }

    /// Does `work` when its turn comes, on memory that is kept for it.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut [Block]) -> T + Send + 'static,
    ) -> Result<T, PoolError> {
        let (answer, answered) = oneshot::channel();
        let work = Box::new(move |memory: &mut [Block]| {
            if !answer.is_closed() {
                // A caller who leaves meanwhile needs no answer.
                let _ = answer.send(work(memory));
            }
        });
        match self.queue.try_send(work) {
            Ok(()) => answered.await.map_err(|_| PoolError::Panicked),
            Err(TrySendError::Full(_)) => Err(PoolError::Full),
            Err(TrySendError::Disconnected(_)) => unreachable!("threads outlive the queue"),
        }
    }
}

fn serve(queue: &Mutex<Receiver<Work>>) {
    // On Linux "the process" is the calling thread: https://man7.org/linux/man-pages/man2/setpriority.2.html
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "sign-ins will compete with other requests");
    }
    let mut memory = hash::memory();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else {
            return;
        };
        // The panic hook tells where; the caller gets an error.
        let _ = catch_unwind(AssertUnwindSafe(|| work(&mut memory)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use rustix::process::getpriority_process;

    use super::*;

    /// Occupies the only thread until the sender is used.
    async fn occupied(pool: &Arc<Pool>) -> (mpsc::Sender<()>, tokio::task::JoinSet<()>) {
        let (release, released) = mpsc::channel();
        let (begin, begun) = oneshot::channel();
        let mut task = tokio::task::JoinSet::new();
        let pool = Arc::clone(pool);
        task.spawn(async move {
            let work = move |_: &mut [Block]| {
                begin.send(()).unwrap();
                released.recv().unwrap();
            };
            pool.run(work).await.unwrap();
        });
        begun.await.unwrap();
        (release, task)
    }

    #[tokio::test]
    async fn only_its_own_threads_give_way() {
        let ours = getpriority_process(None).unwrap();
        let pool = Pool::start(1, 1);
        let theirs = pool.run(|_| getpriority_process(None).unwrap()).await;
        assert_eq!(theirs, Ok(ours.max(NICENESS)));
        assert_eq!(getpriority_process(None).unwrap(), ours);
    }

    #[tokio::test]
    async fn beyond_the_queue_it_is_refused_at_once() {
        let pool = Arc::new(Pool::start(1, 1));
        let (release, mut task) = occupied(&pool).await;
        let waits = pool.run(|_| 1);
        tokio::pin!(waits);
        assert!(futures::poll!(&mut waits).is_pending());
        assert_eq!(pool.run(|_| 2).await, Err(PoolError::Full));
        release.send(()).unwrap();
        assert_eq!(waits.await, Ok(1));
        task.join_next().await.unwrap().unwrap();
        assert_eq!(pool.run(|_| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn whoever_left_before_their_turn_is_passed_over() {
        let pool = Arc::new(Pool::start(1, 2));
        let (release, _task) = occupied(&pool).await;
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
    async fn a_panic_costs_no_thread() {
        let pool = Pool::start(1, 1);
        let broken = pool.run(|_| assert!(std::hint::black_box(false))).await;
        assert_eq!(broken, Err(PoolError::Panicked));
        assert_eq!(pool.run(|_| 1).await, Ok(1));
    }
}

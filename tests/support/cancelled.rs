//! Futures that are dropped at each of their await points.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Makes a future with `make` again and again, polls it once, twice and so on, and drops it, until one comes to its end.
/// After each that was dropped, `check` is called with the number of its polls. Returns that number, and the result.
///
/// Each future is dropped twice: as soon as it waits, so that what it waits for is under way, and when it is woken, so
/// that what it waited for has happened and it never learns of it.
pub(crate) async fn at_each_await_point<T>(
    mut make: impl AsyncFnMut() -> T,
    mut check: impl AsyncFnMut(usize),
) -> (usize, T) {
    for polls in 0.. {
        for when_woken in [false, true] {
            let mut count = 0;
            let outcome = {
                let mut future = pin!(make());
                poll_fn(|context| {
                    if count == polls {
                        return Poll::Ready(None);
                    }
                    count += 1;
                    match future.as_mut().poll(context) {
                        Poll::Ready(done) => Poll::Ready(Some(done)),
                        Poll::Pending if count == polls && !when_woken => Poll::Ready(None),
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            };
            if let Some(done) = outcome {
                return (polls, done);
            }
            check(polls).await;
        }
    }
    unreachable!("a future that never ends")
}

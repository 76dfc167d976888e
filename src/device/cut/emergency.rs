// SPDX-License-Identifier: GPL-3.0-or-later
//! What lets writes through again, whatever the moment.
//!
//! A resume of dm-era begins an era in its metadata. Where those are full or their device has failed, it cannot, and NAME
//! stays suspended, with everything that waits for it. A lack of room may pass, so the resume is tried for some
//! seconds. Then dm-era is taken out: a linear table passes everything on NAME to what dm-era was on. From then on
//! nothing is tracked, which `device::untracked` sees to.
//!
//! After a failure of the metadata device dm-era is taken out at once. The kernel forgets a metadata block whose write has
//! failed, and goes on with what the disk had there before: if a later resume succeeds, marks may be missing.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use devicemapper::Device;
use rustix::io::Errno;

use crate::device::dm::Dm;
use crate::device::stack::Layer;
use crate::sys::DmRequest;

/// For how long to try to resume dm-era, and how often.
const PATIENCE: Duration = Duration::from_secs(3);
const INTERVAL: Duration = Duration::from_millis(100);

/// Requests that were made before, as nothing may be made while the root filesystem waits.
pub struct Emergency {
    below: Vec<DmRequest>,
    resume: DmRequest,
    pass_on: DmRequest,
}

impl Emergency {
    /// For a dm-era device of this size that is on `origin`; with `stack`, what is below it is ours.
    pub fn prepare(name: &str, stack: bool, origin: Device, sectors: u64) -> io::Result<Self> {
        let data = Layer::Data.name(name);
        let below =
            if stack { vec![DmRequest::clear(&data)?, DmRequest::resume(&data)?] } else { Vec::new() };
        let pass_on = DmRequest::load_linear(name, sectors, &origin.to_string())?;
        Ok(Self { below, resume: DmRequest::resume(name)?, pass_on })
    }

    /// Lets writes through, after `failure` if there was one already. System calls only. Fails where not even the last
    /// resort helped.
    pub fn issue(&self, dm: &Dm, failure: Option<&io::Error>) -> io::Result<()> {
        let begin = Instant::now();
        let mut may_pass = failure.is_none_or(may_pass);
        loop {
            for request in &self.below {
                // Fails where there is nothing to be done.
                let _ = dm.issue(request);
            }
            if !may_pass || begin.elapsed() >= PATIENCE {
                break;
            }
            match dm.issue(&self.resume) {
                Ok(()) => return Ok(()),
                // The device is gone.
                Err(e) if Errno::from_io_error(&e) == Some(Errno::NXIO) => return Err(e),
                Err(e) => may_pass = self::may_pass(&e),
            }
            thread::sleep(INTERVAL);
        }
        dm.issue(&self.pass_on).and_then(|()| dm.issue(&self.resume))
    }
}

/// Whether a resume that failed so may succeed later, and dm-era be in order then.
fn may_pass(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOSPC | Errno::NOMEM | Errno::INTR | Errno::AGAIN | Errno::BUSY)
    )
}

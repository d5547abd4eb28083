//! Who this process is: the user that it begins as, and the one that it becomes.
//!
//! The kernel keeps users by thread. There is one thread when this is done, and every later one inherits what it has.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use rustix::process::{Gid, Uid, geteuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// A user of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    uid: u32,
    gid: u32,
    /// With `gid`: all whose files it may read as one of them.
    groups: Vec<u32>,
}

static BEGAN_AS_ROOT: AtomicBool = AtomicBool::new(false);

/// Whether folders of the system are this process's own, by default: who gave root up keeps them.
#[must_use]
pub fn is_of_system() -> bool {
    BEGAN_AS_ROOT.load(Relaxed) || geteuid().is_root()
}

/// The user of this name or number, with this group in place of its own.
pub fn find(user: &str, group: Option<&str>) -> Result<Identity, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let list = fs::read_to_string("/etc/group").unwrap_or_default();
    find_in(user, group, &passwd, &list)
}

fn find_in(user: &str, group: Option<&str>, passwd: &str, list: &str) -> Result<Identity, String> {
    // name:password:uid:gid:…
    let known = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let known = known.into_iter().find(|line| line.len() > 3 && (line[0] == user || line[2] == user));
    let (name, uid, own) = match known {
        Some(line) => (Some(line[0]), line[2].parse().ok(), line[3].parse().ok()),
        None => (None, user.parse().ok(), None),
    };
    let uid = uid.ok_or_else(|| format!("this machine has no user `{user}`"))?;
    // name:password:gid:member,member
    let groups: Vec<Vec<&str>> =
        list.lines().map(|line| line.split(':').collect::<Vec<_>>()).filter(|line| line.len() > 3).collect();
    let gid = match group {
        Some(group) => {
            let number = groups.iter().find(|line| line[0] == group).map_or(group, |line| line[2]);
            number.parse().map_err(|_| format!("this machine has no group `{group}`"))?
        }
        None => own.ok_or_else(|| format!("this machine does not know the group of user `{user}`"))?,
    };
    let member = |line: &&Vec<&str>| name.is_some_and(|name| line[3].split(',').any(|member| member == name));
    let others = groups.iter().filter(member).filter_map(|line| line[2].parse().ok());
    let mut groups: Vec<u32> = others.chain([gid]).collect();
    groups.sort_unstable();
    groups.dedup();
    Ok(Identity { uid, gid, groups })
}

/// Never again can a program that this process starts have more rights than it. It starts none.
pub fn settle() {
    // A kernel that does not know this has had no support for years.
    let _ = set_no_new_privs(true);
}

impl Identity {
    /// Makes this thread, and all that it starts, one of this user's, for good. Of root's rights it keeps the one to listen on
    /// ports below 1024, for a reload. Folders that are not there are made, and given to the user.
    pub fn become_it(&self, folders: &[PathBuf]) -> Result<(), String> {
        if geteuid().as_raw() == self.uid {
            return Ok(());
        }
        if !geteuid().is_root() {
            return Err("only root can become another user".to_owned());
        }
        let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
        if threads > 1 {
            return Err(format!("{threads} threads have begun already"));
        }
        BEGAN_AS_ROOT.store(true, Relaxed);
        for folder in folders {
            self.own(folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
        }
        self.change().map_err(|error| format!("the system refuses: {error}"))
    }

    fn own(&self, folder: &Path) -> std::io::Result<()> {
        if !folder.exists() {
            if let Some(above) = folder.parent() {
                fs::create_dir_all(above)?;
            }
            fs::DirBuilder::new().mode(0o700).create(folder)?;
        }
        // One that belongs to somebody else is not ours to give.
        if fs::symlink_metadata(folder)?.uid() == 0 { chown(folder, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    fn change(&self) -> rustix::io::Result<()> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        let kept = capabilities(None)?.permitted & CapabilitySet::NET_BIND_SERVICE;
        set_keep_capabilities(true)?;
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_capabilities(
            None,
            CapabilitySets { effective: kept, permitted: kept, inheritable: CapabilitySet::empty() },
        )?;
        set_keep_capabilities(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nrp:x:990:980::/nonexistent:/usr/sbin/nologin\n+nis\n";
    const GROUP: &str = "root:x:0:\nssl-cert:x:110:other,rp\nrp:x:980:\nother:x:981:xrp\n";

    #[test]
    fn xz10_users_and_groups_by_name_and_number() {
        let find = |user, group| find_in(user, group, PASSWD, GROUP);
        let rp = Identity { uid: 990, gid: 980, groups: vec![110, 980] };
        assert_eq!(find("rp", None), Ok(rp.clone()));
        assert_eq!(find("990", None), Ok(rp));
        let other = Identity { uid: 990, gid: 981, groups: vec![110, 981] };
        assert_eq!(find("rp", Some("other")), Ok(other.clone()));
        assert_eq!(find("rp", Some("981")), Ok(other));
        assert_eq!(find("70000", Some("70001")), Ok(Identity { uid: 70000, gid: 70001, groups: vec![70001] }));
        assert_eq!(find("nobody-here", None).unwrap_err(), "this machine has no user `nobody-here`");
        assert_eq!(find("70000", None).unwrap_err(), "this machine does not know the group of user `70000`");
        assert_eq!(find("rp", Some("none")).unwrap_err(), "this machine has no group `none`");
        assert!(find("+nis", None).is_err());
    }
}

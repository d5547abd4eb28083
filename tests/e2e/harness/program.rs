//! Servers of somebody else. Each runs in a folder of its own, and ends with its test.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{Folder, eventually, free_port};

pub struct Program {
    child: Child,
    pub folder: Folder,
}

impl Program {
    /// It runs once it listens at all of its doors.
    pub fn start(folder: Folder, command: &mut Command, doors: &[SocketAddr]) -> Self {
        let child = command
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .env("XDG_DATA_HOME", folder.path())
            .env("XDG_CONFIG_HOME", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut program = Self { child, folder };
        for door in doors {
            eventually("a server that listens", || {
                let ended = program.child.try_wait().unwrap();
                assert!(ended.is_none(), "{command:?} has ended: {}", ended.unwrap());
                TcpStream::connect(door).ok()
            });
        }
        program
    }

    /// What is within `http`. Paths begin in the folder.
    pub fn nginx(folder: Folder, doors: &[SocketAddr], http: &str) -> Self {
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("{kind}_temp_path {kind};\n"))
            .collect();
        let config = folder.write(
            "nginx.conf",
            format!(
                "daemon off; master_process off; pid nginx.pid; error_log error.log;
                 events {{ worker_connections 1024; }}\nhttp {{ access_log off;\n{temporary}{http} }}\n"
            ),
        );
        let mut command = Command::new(installed("nginx", "nginx"));
        command.arg("-p").arg(folder.path()).arg("-c").arg(config).arg("-e").arg(folder.path().join("error.log"));
        Self::start(folder, &mut command, doors)
    }

    pub fn haproxy(doors: &[SocketAddr], config: &str) -> Self {
        let folder = Folder::new();
        let config = folder.write("haproxy.cfg", config);
        let mut command = Command::new(installed("haproxy", "haproxy"));
        command.arg("-db").arg("-f").arg(config);
        Self::start(folder, &mut command, doors)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Time of the processor that a process has taken, the user's and the system's, in hundredths of a second.
pub fn processor(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which may hold anything: state is field 3, time of user and system are 14 and 15.
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// An address for a program that can't be asked which port it chose.
pub fn door() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}

/// Where the program is; `/usr/sbin` is not in everybody's path.
pub fn installed(program: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/usr/sbin", "/usr/local/sbin"])
        .map(|folder| Path::new(folder).join(program))
        .find(|file| file.is_file())
        .unwrap_or_else(|| panic!("{program} is not installed: apt-get install {package}, or run .ci/test"))
}

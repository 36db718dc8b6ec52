//! `aftercall keys`: the keys of access tokens.

use aftercall::auth;
use aftercall::config::{self, Env};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the keys, the oldest first.
    List,
    /// Make a new key and remove all but the newest two. Running processes see it within 5 s.
    ///
    /// The new key signs after 5 minutes, when whoever verifies tokens elsewhere has seen it. Tokens of a
    /// removed key are refused: leave more time between two rotations than an access token lives.
    Rotate,
}

pub fn run(command: &Command, env: &Env) -> anyhow::Result<()> {
    let dir = config::jwt_keys_dir(env)?;
    match command {
        Command::List => {
            for (id, signs) in auth::list_keys(&dir)? {
                println!("{id}{}", if signs { "  signs" } else { "" });
            }
        }
        Command::Rotate => {
            let rotation = auth::rotate_keys(&dir)?;
            println!("made {}", rotation.made);
            for id in rotation.removed {
                println!("removed {id}");
            }
        }
    }
    Ok(())
}

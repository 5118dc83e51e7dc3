//! What ssh2 does not offer of libssh2, and the only unsafe code of the SSH layer: our own send and receive functions,
//! the time an answer may take, and forgetting an error.

use std::ffi::{c_char, c_int, c_long, c_void};
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::rc::Rc;

use rustix::io::Errno;
use ssh2::Session;

use super::wire::Wire;

type SendFunction = unsafe extern "C" fn(c_int, *const c_void, usize, c_int, *mut *mut c_void) -> isize;
type ReceiveFunction = unsafe extern "C" fn(c_int, *mut c_void, usize, c_int, *mut *mut c_void) -> isize;
type AnyFunction = unsafe extern "C" fn();

// libssh2.h: LIBSSH2_CALLBACK_SEND, LIBSSH2_CALLBACK_RECV.
const CALLBACK_SEND: c_int = 5;
const CALLBACK_RECV: c_int = 6;

// All are in libssh2's public interface since 1.11.1; libssh2-sys 0.3.4 builds them but does not declare them.
unsafe extern "C" {
    fn libssh2_session_callback_set2(
        session: *mut libssh2_sys::LIBSSH2_SESSION,
        kind: c_int,
        callback: AnyFunction,
    ) -> Option<AnyFunction>;
    fn libssh2_session_set_read_timeout(session: *mut libssh2_sys::LIBSSH2_SESSION, seconds: c_long);
    fn libssh2_session_set_last_error(
        session: *mut libssh2_sys::LIBSSH2_SESSION,
        code: c_int,
        message: *const c_char,
    ) -> c_int;
}

/// Makes `session` talk through `wire`, and keeps the wire for as long as the session lives.
pub(super) fn attach(session: &mut Session, wire: &Rc<Wire>) {
    session.set_tcp_stream(Rc::clone(wire));
    let mut raw = session.raw();
    let on_send: SendFunction = on_send;
    let on_receive: ReceiveFunction = on_receive;
    // SAFETY: the session owns a clone of the Rc (above) and drops it only after libssh2_session_free, so the pointer in
    // `abstract` is valid whenever libssh2 can call back; nobody else uses `abstract`. The two functions have the
    // signatures of LIBSSH2_SEND_FUNC and LIBSSH2_RECV_FUNC; libssh2 casts them back before it calls them.
    unsafe {
        *libssh2_sys::libssh2_session_abstract(&raw mut *raw) = Rc::as_ptr(wire).cast_mut().cast();
        let on_send = std::mem::transmute::<SendFunction, AnyFunction>(on_send);
        let on_receive = std::mem::transmute::<ReceiveFunction, AnyFunction>(on_receive);
        libssh2_session_callback_set2(&raw mut *raw, CALLBACK_SEND, on_send);
        libssh2_session_callback_set2(&raw mut *raw, CALLBACK_RECV, on_receive);
    }
}

/// How long libssh2 waits for the answer to a request it sent, counted from then. Its default is 60.
pub(super) fn set_answer_timeout(session: &Session, seconds: u16) {
    let mut raw = session.raw();
    // SAFETY: the pointer is the session's own, and the function only stores a number in it.
    unsafe { libssh2_session_set_read_timeout(&raw mut *raw, c_long::from(seconds)) }
}

pub(super) fn forget_last_error(session: &Session) {
    let mut raw = session.raw();
    // SAFETY: the pointer is the session's own; the message is a C string, which libssh2 copies.
    unsafe { libssh2_session_set_last_error(&raw mut *raw, 0, c"".as_ptr()) };
}

unsafe extern "C" fn on_send(
    socket: c_int,
    buffer: *const c_void,
    length: usize,
    _flags: c_int,
    context: *mut *mut c_void,
) -> isize {
    // SAFETY: libssh2 passes its `abstract`, which `attach` set to a live Wire, and a buffer of `length` bytes.
    let (wire, bytes) =
        unsafe { (&*(*context).cast::<Wire>(), std::slice::from_raw_parts(buffer.cast::<u8>(), length)) };
    answer(match socket == wire.as_raw_fd() {
        true => wire.take(bytes),
        // SAFETY: any other socket is libssh2's own connection to the agent, open for the length of this call.
        false => wire.send_to_agent(unsafe { BorrowedFd::borrow_raw(socket) }, bytes),
    })
}

unsafe extern "C" fn on_receive(
    socket: c_int,
    buffer: *mut c_void,
    length: usize,
    _flags: c_int,
    context: *mut *mut c_void,
) -> isize {
    // SAFETY: as in on_send. libssh2 passes buffers on its heap or stack that it reads only up to the count we return;
    // they are plain bytes, which we only write.
    let (wire, bytes) =
        unsafe { (&*(*context).cast::<Wire>(), std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)) };
    answer(match socket == wire.as_raw_fd() {
        true => wire.receive(bytes),
        // SAFETY: as in on_send.
        false => wire.receive_from_agent(unsafe { BorrowedFd::borrow_raw(socket) }, bytes),
    })
}

/// libssh2 wants the count or the negative error number.
fn answer(result: Result<usize, Errno>) -> isize {
    match result {
        Ok(count) => count as isize,
        Err(error) => -(error.raw_os_error() as isize),
    }
}

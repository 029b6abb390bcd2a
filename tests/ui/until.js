// Waits for a condition, with a deadline.
'use strict';

const {setTimeout: pause} = require('node:timers/promises');

// Asks `condition` until what it answers is true, and answers that. `what` completes "waited in
// vain for ...".
async function until(what, milliseconds, condition) {
    const deadline = Date.now() + milliseconds;
    for (;;) {
        const last = Date.now() >= deadline;
        const value = await condition();
        if (value) return value;
        if (last) throw new Error(`waited ${milliseconds} ms in vain for ${what}`);
        await pause(50);
    }
}

module.exports = {until};

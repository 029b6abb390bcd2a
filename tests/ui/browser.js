// A headless browser, and a user's session in the management UI that keeps what the browser
// complains about.
'use strict';

const assert = require('node:assert/strict');
const {chromium} = require('playwright-core');

// Machines under test are busy: only what never happens takes as long.
const patience = 120_000;

function launch() {
    return chromium.launch({
        executablePath: process.env.HOT_BACKUP_CHROMIUM, headless: true,
        args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
               '--disable-background-networking', '--disable-component-update', '--disable-sync']
    });
}

class Session {
    // Logs in through the form. `prepare` may change the page before it loads anything.
    static async open(browser, broker, user, prepare = async () => {}) {
        const session = new Session();
        session.broker = broker;
        session.context = await browser.newContext({
            viewport: {width: 1280, height: 800}, locale: 'en-GB', timezoneId: 'UTC'
        });
        session.page = await session.context.newPage();
        session.page.setDefaultTimeout(patience);
        session.listen();
        await prepare(session.page);
        await session.page.goto(broker.url);
        await session.page.fill('input[name=username]', user);
        await session.page.fill('input[name=password]', user);
        await session.page.click('input[type=submit]');
        return session;
    }

    listen() {
        this.complaints = [];
        this.dialogs = [];
        this.answer = '';
        this.page.on('console', message => {
            if (['error', 'warning'].includes(message.type())) {
                this.complaints.push(`${message.text()} (${message.location().url})`);
            }
        });
        this.page.on('pageerror', error => this.complaints.push(String(error)));
        // `answer`: what the next dialogs are answered with; null cancels.
        this.page.on('dialog', dialog => {
            this.dialogs.push(dialog.message());
            return this.answer === null ? dialog.dismiss() : dialog.accept(this.answer);
        });
    }

    // Goes to an address within the UI, as a bookmark would.
    async visit(hash) {
        await this.page.goto(this.broker.url + hash);
    }

    async openList() {
        await this.visit('#/hot-backup');
        await this.page.waitForSelector('#main h1:text-is("Backups")');
    }

    async openBackup(id) {
        await this.visit(`#/hot-backup/backups/${id}`);
        await this.page.waitForSelector(`#main h1:has-text("${id}")`);
    }

    // The button of an action, of one backup where there are several.
    button(action, id) {
        const about = id === undefined ? '' : `[data-id="${id}"]`;
        return this.page.locator(`#main button[data-action="${action}"]${about}`);
    }

    see(text) {
        return this.page.locator('#main').getByText(text).first().waitFor();
    }

    // What the last job of this kind came to, once it is shown.
    outcome(kind, state) {
        return this.page.locator(
            `#main .hb-outcome[data-kind="${kind}"][data-outcome="${state}"]`).first();
    }

    text(selector = '#main') {
        return this.page.locator(selector).first().innerText();
    }

    async close() {
        await this.context.close();
    }
}

// What the browser says of an answer that is an error, which is what the test wants to see.
function assert_no_complaints(session, expected = /^$/) {
    const complaints = session.complaints.filter(complaint => !expected.test(complaint));
    session.complaints.length = 0;
    assert.deepEqual(complaints, []);
}

function refused(status) {
    return new RegExp(`Failed to load resource: the server responded with a status of ${status} `);
}

module.exports = {assert_no_complaints, launch, patience, refused, Session};

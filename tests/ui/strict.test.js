// The page under a strict content security policy, as RabbitMQ has it from 4.3.4 on, of a node with
// thousands of queues.
'use strict';

const assert = require('node:assert/strict');
const {after, before, test} = require('node:test');
const {Broker} = require('./broker.js');
const {launch, patience, Session} = require('./browser.js');
const {serve_compiled_templates} = require('./stock_templates.js');
const {until} = require('./until.js');

const queues = 3000;
const policy = "script-src 'self'; object-src 'none'";

let broker, browser, admin;

before(async () => {
    broker = await Broker.start({
        queues, configuration: [`management.csp.policy = ${policy}`]
    });
    browser = await launch();
    admin = await Session.open(browser, broker, 'administrator', page =>
        serve_compiled_templates(page, broker.url));
    await admin.page.waitForSelector('#tabs');
    // What RabbitMQ 3.10's own pages do against the policy is not the question here.
    await admin.openList();
    admin.complaints.length = 0;
});

after(async () => {
    await browser?.close();
    await broker?.stop();
});

test('nothing can be compiled in this browser', async () => {
    const answer = await fetch(broker.url);
    assert.equal(answer.headers.get('content-security-policy'), policy);
    // As the page would do it: what a debugger evaluates right away is allowed everything.
    assert.equal(await admin.page.evaluate(() => new Promise(resolve => setTimeout(() => {
        try {
            resolve(new Function('return 1')());
        } catch (error) {
            resolve(error.name);
        }
    }))), 'EvalError');
    admin.complaints.length = 0;
});

test('a backup is made, verified, looked at and protected', async () => {
    await admin.button('create').click();
    await admin.outcome('backup', 'done').waitFor();
    const [{backup}] = await broker.backups();
    await admin.button('verify', backup).click();
    await admin.outcome('verify', 'done').waitFor();
    admin.answer = 'kept';
    await admin.button('protect', backup).click();
    await admin.button('unprotect', backup).waitFor();
    await admin.page.click('h2:text-is("Jobs since the plugin was started")');
    await admin.see('Verification');
    await admin.page.click(`tr[data-backup="${backup}"] td a`);
    await admin.page.waitForSelector(`h1:has-text("${backup}")`);
    assert.deepEqual(admin.complaints, []);
});

test('thousands of queues are paged, sorted and filtered', async () => {
    const rows = admin.page.locator('.hb-queues tbody tr');
    await rows.first().waitFor();
    assert.equal(await rows.count(), 100);
    const control = name => admin.page.locator(`[data-control=${name}][data-listing=queues]`);
    const [{counts}] = await broker.backups();
    assert.ok(counts.queues > queues);
    const pages = Math.ceil(counts.queues / 100);
    assert.equal(await control('page').locator('option').count(), pages);
    await control('page').selectOption(String(pages));
    await until('the last page', patience, async () =>
        await rows.count() === (counts.queues % 100 || 100));
    await control('page_size').fill('500');
    await control('page_size').press('Enter');
    await until('500 rows', patience, async () => await rows.count() === 500);
    await admin.page.click('.hb-queues a[data-sort=name]');
    const names = () => admin.page.locator('.hb-queues tbody td:nth-child(2)').allInnerTexts();
    await until('the order', patience, async () => {
        const shown = await names();
        return shown.every((name, index) => index === 0 ||
            Buffer.compare(Buffer.from(shown[index - 1]), Buffer.from(name)) <= 0);
    });
    const wanted = (await names())[250];
    await control('filter').fill(wanted);
    await control('filter').press('Enter');
    await until('the filter', patience, async () => (await names()).every(
        name => name.includes(wanted)));
    assert.deepEqual(admin.complaints, []);
});

test('a restore is planned', async () => {
    await admin.page.locator('.hb-queues tbody a').first().click();
    await admin.button('plan').click();
    await admin.page.waitForSelector('.hb-plan');
    assert.deepEqual(admin.complaints, []);
});
